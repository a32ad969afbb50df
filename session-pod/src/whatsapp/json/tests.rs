//! Messages as JavaScript reads them.

use super::*;
use serde::Serialize;
use serde_json::json;

#[derive(Serialize)]
enum Choice {
    NativeFlow(Inner),
}
#[derive(Serialize)]
struct Inner {
    media_key: Vec<u8>,
    list: Vec<u32>,
}
#[derive(Serialize)]
struct Outer {
    r#type: Option<&'static str>,
    unset: Option<u32>,
    big: u64,
    small: i64,
    degrees_latitude: f64,
    tiny: f64,
    choice: Option<Choice>,
    nothing: Vec<u32>,
}

#[test]
fn names_bytes_numbers_and_oneofs() {
    let outer = Outer {
        r#type: Some("x"),
        unset: None,
        big: u64::MAX,
        small: -5,
        degrees_latitude: -6.0,
        tiny: 0.000_001_5,
        choice: Some(Choice::NativeFlow(Inner { media_key: vec![1, 2], list: vec![7] })),
        nothing: Vec::new(),
    };
    assert_eq!(
        to_json(&outer),
        json!({
            "type": "x",
            "big": "18446744073709551615",
            "small": -5,
            "degreesLatitude": -6,
            "tiny": "0.0000015",
            "nativeFlow": {"mediaKey": "AQI=", "list": [7]},
        })
    );
}

#[test]
fn floats_are_written_as_javascript_writes_them() {
    let texts = [100.0, -0.0, 0.1, 1.5, -6.25, 106.827_153].map(|x| float(x).into_value().to_string());
    assert_eq!(texts, ["100", "0", "0.1", "1.5", "-6.25", "106.827153"]);
    assert_eq!(to_json(&0.1_f32).to_string(), "0.1");
    assert_eq!(to_json(&f64::NAN), Value::Null);
}
