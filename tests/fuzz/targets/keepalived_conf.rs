//! The importer: any text becomes a configuration that the checker accepts, or nothing, and every
//! finding is about a line of the text.

use lb_user::{
    config,
    import::{self, Imported, Options, Source},
};

/// One input; panics if the code under test is wrong.
pub(crate) fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let options = Options {
        config_id: "main".to_owned(),
        interfaces: Vec::new(),
    };
    let source = || Source::text("fuzz.conf", &text);
    sound(&import::keepalived(source(), &options), &text);
    sound(&import::ipvsadm(source(), &options), &text);
}

fn sound(imported: &Imported, text: &str) {
    if let Some(yaml) = &imported.yaml {
        let accepted = config::validate_str("imported.yaml", yaml);
        if let Err(refused) = accepted {
            panic!("{refused}\n{yaml}");
        }
    }
    let lines = text.split_inclusive('\n').count().max(1);
    for finding in &imported.findings {
        let line = finding.at.line as usize;
        assert!((1..=lines).contains(&line), "{finding}");
        assert!(!finding.message.is_empty());
    }
}
