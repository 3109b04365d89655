//! Any text: words are spans of it in order, and what is added and taken away leaves no trace.
#![no_main]

use isowright::model::cmdline::Cmdline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(mut line) = Cmdline::parse(text) else { return };
    assert_eq!(line.as_str(), text);
    let rest: String = line.words().map(|w| w.raw).collect();
    assert!(rest.len() <= text.len());
    if text.matches('"').count() % 2 == 0 && line.get("fuzz.word").is_none() && !text.contains("fuzz") {
        line.append("fuzz.word=1 2").expect("one word");
        assert_eq!(line.get("fuzz.word"), Some("1 2"));
        line.remove("fuzz.word");
        assert_eq!(line.as_str(), text);
    }
});
