//! YAML for answer files, emitted only: block style, as people write it, and no line folded.

use crate::error::{Error, ErrorKind, Result};
use serde_json::Value;

/// `value` as a YAML document, its keys in their order.
///
/// # Errors
/// Never for JSON's values: their keys are strings.
pub fn to_text(value: &Value) -> Result<String> {
    let mut options = serde_saphyr::SerializerOptions::default();
    // A folded key or hash could not be searched for.
    options.folded_wrap_chars = usize::MAX;
    let mut out = String::new();
    serde_saphyr::to_fmt_writer_with_options(&mut out, value, options).map_err(|e| {
        Error::new(ErrorKind::Unsupported, "a value that YAML has no words for").because(e)
    })?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn strings_that_yaml_would_take_for_something_else_are_quoted() {
        let value = json!({
            "name": "eth0", "mac": "52:54:00:00:00:01", "no": "no", "octal": "010", "star": "*",
            "size": -1, "flag": true, "none": {}, "list": ["a", "b: c"],
        });
        let text = to_text(&value).expect("yaml");
        for line in [
            "name: eth0",
            "mac: \"52:54:00:00:00:01\"",
            "\"no\": \"no\"",
            "octal: \"010\"",
            "star: \"*\"",
            "size: -1",
            "flag: true",
            "none: {}",
            "- a",
            "- \"b: c\"",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}: {text}");
        }
    }

    #[test]
    fn scripts_stand_as_they_are_and_long_lines_in_one() {
        let key = format!("ssh-ed25519 {} a b c d e", "A".repeat(200));
        let text =
            to_text(&json!({ "script": "#!/bin/sh\n  x\n\ny\n", "key": key })).expect("yaml");
        assert!(text.starts_with("script: |\n  #!/bin/sh\n    x\n\n  y\n"), "{text}");
        assert!(text.contains(&format!("key: {key}\n")), "{text}");
    }
}
