use super::*;

fn blackout(text: &str) -> Blackout {
    text.parse().unwrap()
}

fn end(text: &str, moment: &str) -> Option<String> {
    let end = blackout(text).end(&moment.parse().unwrap());
    end.map(|end| end.strftime("%a %H:%M %:z").to_string())
}

#[test]
fn it_is_over_at_its_end_on_its_days() {
    // 2026-11-23 is a Monday.
    let day = |time: &str| format!("2026-11-23T{time}[Europe/Berlin]");
    let office = |time: &str| end("mon-fri 08:00-18:00", &day(time));
    assert_eq!(office("07:59:59"), None);
    assert_eq!(office("08:00").as_deref(), Some("Mon 18:00 +01:00"));
    assert_eq!(office("17:59:59").as_deref(), Some("Mon 18:00 +01:00"));
    assert_eq!(office("18:00"), None);
    assert_eq!(end("tue-sun 08:00-18:00", &day("10:00")), None);
    assert_eq!(end("08:00-18:00", &day("10:00")), office("10:00"));
}

#[test]
fn a_night_ends_on_the_next_day() {
    let night = |moment: &str| end("sun 22:00-06:00", moment);
    assert_eq!(night("2026-11-22T23:00[UTC]").as_deref(), Some("Mon 06:00 +00:00"));
    assert_eq!(night("2026-11-23T05:59[UTC]").as_deref(), Some("Mon 06:00 +00:00"));
    assert_eq!(night("2026-11-22T05:00[UTC]"), None, "the night of Saturday");
    assert_eq!(end("sun", "2026-11-22T05:00[UTC]").as_deref(), Some("Mon 00:00 +00:00"));
    assert_eq!(
        end("sun 20:00-24:00", "2026-11-22T21:00[UTC]").as_deref(),
        Some("Mon 00:00 +00:00")
    );
}

#[test]
fn when_clocks_are_changed_it_ends_when_the_clock_says_so() {
    // Berlin: 02:00 is followed by 03:00 on 2026-03-29, and 03:00 by 02:00 on 2026-10-25.
    let spring = end("01:00-02:30", "2026-03-29T01:59+01:00[Europe/Berlin]");
    assert_eq!(spring.as_deref(), Some("Sun 03:30 +02:00"));
    let autumn = |moment: &str| end("01:00-02:30", moment);
    let first = autumn("2026-10-25T02:10+02:00[Europe/Berlin]");
    assert_eq!(first.as_deref(), Some("Sun 02:30 +02:00"));
    let second = autumn("2026-10-25T02:10+01:00[Europe/Berlin]");
    assert_eq!(second.as_deref(), Some("Sun 02:30 +01:00"));
}

#[test]
fn its_text_reads_back_as_the_same() {
    for (text, canonical) in [
        ("mon-fri 08:00-18:00", "mon,tue,wed,thu,fri 08:00-18:00"),
        ("22:00-06:00", "22:00-06:00"),
        ("sat,Sunday", "sat,sun"),
        ("fri-mon 00:00-24:00", "mon,fri,sat,sun"),
        ("sun 20:00-24:00", "sun 20:00-00:00"),
        ("00:00-24:00", "mon,tue,wed,thu,fri,sat,sun"),
    ] {
        assert_eq!(blackout(text).to_string(), canonical);
        assert_eq!(blackout(canonical), blackout(text));
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "",
        "mon-",
        "8-18",
        "mon 08:00",
        "mon 08:00-08:00",
        "mon 25:00-26:00",
        "xyz 08:00-09:00",
        "mon 08:00-09:00 x",
    ] {
        let refused = text.parse::<Blackout>().unwrap_err().to_string();
        assert!(refused.starts_with(&format!("blackout `{text}`: ")), "{refused}");
    }
}
