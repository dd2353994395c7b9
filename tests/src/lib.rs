//! The harness of Ballast's tests: hosts in namespaces, packets, processes, conditions with a limit.
