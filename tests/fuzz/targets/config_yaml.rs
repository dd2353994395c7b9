//! The configuration reader: any text is a configuration or a list of errors, each at a place in the
//! text.

use lb_user::config;

/// One input; panics if the code under test is wrong.
pub(crate) fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    match config::validate_str("fuzz.yaml", text) {
        Ok(loaded) => {
            assert!(loaded.warnings.only_warnings());
            in_text(&loaded.warnings, text);
        }
        Err(errors) => {
            let diagnostics = errors.diagnostics().expect("the text could be read");
            assert!(diagnostics.errors() > 0, "refused without a reason");
            in_text(diagnostics, text);
        }
    }
}

/// Every diagnostic points into the text or just behind it, and can be shown.
fn in_text(diagnostics: &config::Diagnostics, text: &str) {
    let breaks = text.chars().filter(|c| matches!(c, '\n' | '\r')).count();
    for diagnostic in diagnostics {
        let (line, column) = (diagnostic.line as usize, diagnostic.column as usize);
        let shown = diagnostic.to_string();
        assert!((1..=breaks + 2).contains(&line), "{shown}");
        assert!((1..=text.len() + 1).contains(&column), "{shown}");
        assert!(!diagnostic.message.is_empty());
    }
}
