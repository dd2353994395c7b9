use proptest::prelude::*;

use super::*;

#[test]
fn durations_have_a_number_and_a_unit() {
    let ms = Duration::from_millis;
    assert_eq!(duration("500ms"), Some(ms(500)));
    assert_eq!(duration("6s"), Some(ms(6000)));
    assert_eq!(duration("2m"), Some(ms(120_000)));
    assert_eq!(duration("1h"), Some(ms(3_600_000)));
    assert_eq!(duration("40.95s"), Some(ms(40_950)));
    assert_eq!(duration("0"), Some(ms(0)));
    for bad in [
        "",
        "6",
        "s",
        "-1s",
        "6 seconds",
        "1d",
        "1m30s",
        "1.s",
        ".5s",
        "1e3s",
        "1_0s",
        "999999999999h",
        "0.0000000001s",
    ] {
        assert_eq!(duration(bad), None, "{bad:?}");
    }
}

#[test]
fn sizes_are_bytes_or_powers_of_1024() {
    assert_eq!(size("256MiB"), Some(256 << 20));
    assert_eq!(size("64KiB"), Some(65_536));
    assert_eq!(size("1GiB"), Some(1 << 30));
    assert_eq!(size("4096"), Some(4096));
    for bad in ["", "MiB", "1MB", "1.5MiB", "-1", "99999999999GiB", "1 2MiB"] {
        assert_eq!(size(bad), None, "{bad:?}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(ms in 0u64..100_000_000, bytes in any::<u64>()) {
        let d = Duration::from_millis(ms);
        prop_assert_eq!(duration(&show_duration(d)), Some(d));
        prop_assert_eq!(size(&show_size(bytes)), Some(bytes));
    }

    #[test]
    fn no_text_panics(text in ".{0,24}") {
        let _ = (duration(&text), size(&text));
    }
}
