use super::*;

#[test]
fn helper_and_bpf_calls_are_told_apart() {
    let code = [
        [0x18, 0x11, 0, 0, 0, 0, 0, 0],             // r1 = map, first slot
        [0x00, 0x00, 0, 0, 0, 0, 0, 0],             // second slot
        [0x85, 0x00, 0, 0, 1, 0, 0, 0],             // call map_lookup_elem
        [0x85, 0x10, 0, 0, 0xff, 0xff, 0xff, 0xff], // call a function
        [0x95, 0x00, 0, 0, 0, 0, 0, 0],             // exit
    ];
    let counted = Code::count(code.as_flattened()).unwrap();
    assert_eq!(
        counted,
        Code {
            instructions: 5,
            helper_calls: 1,
            bpf_calls: 1
        }
    );
}

#[test]
fn half_an_instruction_is_an_error() {
    assert!(Code::count(&[0x95, 0, 0, 0]).is_err());
}

#[test]
fn what_is_no_bpf_object_is_refused() {
    assert!(Summary::read(b"").is_err());
    let this_test = std::fs::read("/proc/self/exe").unwrap();
    let error = Summary::read(&this_test).unwrap_err();
    assert!(error.to_string().starts_with("built for "), "{error}");
}

#[test]
fn the_table_lists_functions_under_their_section() {
    let code = Code {
        instructions: 2,
        helper_calls: 1,
        bpf_calls: 0,
    };
    let functions = vec![("ballast".to_owned(), 2)];
    let text = Summary {
        sections: vec![Section {
            name: "xdp".into(),
            functions,
            code,
        }],
    }
    .to_string();
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .collect();
    assert_eq!(lines[1], ["xdp", "2", "1", "0"]);
    assert_eq!(lines[2], ["ballast", "2"]);
}
