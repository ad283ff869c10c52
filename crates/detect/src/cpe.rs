//! CPE 2.3 names (NIST IR 7695, 6.2): `cpe:2.3:a:openbsd:openssh:9.2p1:*:*:*:*:*:*:*`.

/// How many components follow `cpe:2.3:`.
const COMPONENTS: usize = 11;

/// A component as a formatted string wants it: lower case, blanks as `_`, other punctuation
/// escaped; `*` (any) for nothing.
pub fn component(value: &str) -> String {
    if value.is_empty() {
        return "*".to_owned();
    }
    let mut out = String::with_capacity(value.len());
    for character in value.chars().take(100) {
        match character {
            'a'..='z' | '0'..='9' | '_' | '.' | '-' => out.push(character),
            'A'..='Z' => out.push(character.to_ascii_lowercase()),
            ' ' => out.push('_'),
            '!'..='~' => {
                out.push('\\');
                out.push(character);
            }
            // Nothing else may stand in a name.
            _ => out.push('?'),
        }
    }
    // A lone hyphen would mean "not applicable".
    if out == "-" { "\\-".to_owned() } else { out }
}

/// The components of a name, split at colons that are not escaped.
pub fn split(name: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut escaped) = (0, false);
    for (at, byte) in name.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b':' => {
                parts.extend(name.get(from..at));
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.extend(name.get(from..));
    parts
}

/// A name with all eleven components; missing ones are `*`.
pub fn complete(name: &str) -> String {
    let given = split(name).len().saturating_sub(2);
    let mut out = name.to_owned();
    for _ in given..COMPONENTS {
        out.push_str(":*");
    }
    out
}

/// Whether a template can become a name: `cpe:2.3:`, part `a`, `h` or `o`, vendor and product,
/// and no more than eleven components.
pub fn is_template(name: &str) -> bool {
    let parts = split(name);
    matches!(parts.as_slice(), ["cpe", "2.3", "a" | "h" | "o", vendor, product, ..]
        if !vendor.is_empty() && !product.is_empty())
        && parts.len() <= COMPONENTS + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_completed_and_its_parts_are_escaped() {
        let name = format!("cpe:2.3:a:isc:bind:{}", component("9.18:1 X/y"));
        assert_eq!(
            complete(&name),
            r"cpe:2.3:a:isc:bind:9.18\:1_x\/y:*:*:*:*:*:*:*"
        );
        assert_eq!(split(&complete(&name)).len(), 13);
        assert_eq!(component(""), "*");
    }

    #[test]
    fn a_template_needs_part_vendor_and_product() {
        assert!(is_template("cpe:2.3:a:openbsd:openssh:{version}"));
        assert!(!is_template("cpe:2.3:x:openbsd:openssh"));
        assert!(!is_template("cpe:/a:openbsd:openssh"));
        assert!(!is_template("cpe:2.3:a:openbsd"));
    }
}
