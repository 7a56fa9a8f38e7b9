//! Arguments that mean the same: neither the order of keys nor the form of a number matters.

use serde_json::{Number, Value};

/// Whether two values are the same but for the order of keys and the form of numbers.
pub(super) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => equal_numbers(left, right),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            let same = |(key, left)| right.get(key).is_some_and(|right| equal(left, right));
            left.len() == right.len() && left.iter().all(same)
        }
        _ => left == right,
    }
}

fn equal_numbers(left: &Number, right: &Number) -> bool {
    match (whole(left), whole(right)) {
        (Some(left), Some(right)) => left == right,
        (None, None) => left.as_f64() == right.as_f64(),
        _ => false,
    }
}

/// The number as a whole one, where it is one and exact: `2`, `2.0` and `2e0` are.
fn whole(number: &Number) -> Option<i128> {
    let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
    exact.or_else(|| {
        let float = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e30)?;
        Some(float as i128)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal_texts(left: &str, right: &str) -> bool {
        equal(&serde_json::from_str(left).unwrap(), &serde_json::from_str(right).unwrap())
    }

    #[test]
    fn order_of_keys_and_form_of_numbers_do_not_matter() {
        assert!(equal_texts(r#"{"a":[1,2.5],"b":-0.0}"#, r#"{"b":0,"a":[1.0e0,25e-1]}"#));
        assert!(equal_texts("18446744073709551615", "18446744073709551615"));
        assert!(equal_texts("1e300", "1E+300"));
    }

    #[test]
    fn everything_else_does() {
        for (left, right) in [
            ("9007199254740993", "9007199254740992.0"),
            ("1", "1.5"),
            ("1", r#""1""#),
            ("[1,2]", "[2,1]"),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
            (r#"{"a":1}"#, r#"{"b":1}"#),
            ("[1]", "[1,1]"),
        ] {
            assert!(!equal_texts(left, right) && !equal_texts(right, left), "{left} {right}");
        }
    }
}
