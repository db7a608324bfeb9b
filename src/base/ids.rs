//! Identifiers made from entropy that the caller supplies, so that the core stays deterministic.

/// Random bytes of one request; every identifier that the gateway makes for it derives from them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seed(pub [u8; 16]);

impl Seed {
    /// `prefix` followed by 24 letters and digits.
    pub fn id(&self, prefix: &str) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
        let mut bits = u128::from_le_bytes(self.0);
        let mut id = String::with_capacity(prefix.len() + 24);
        id.push_str(prefix);
        for _ in 0..24 {
            let index = (bits & 31) as usize;
            id.push(ALPHABET.get(index).copied().unwrap_or(b'a') as char);
            bits >>= 5;
        }
        id
    }

    /// The seed of the `n`th thing that belongs to this request.
    pub fn nth(&self, n: usize) -> Seed {
        let step = (n as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        Seed((u128::from_le_bytes(self.0) ^ step).to_le_bytes())
    }
}

/// A short name for a text: the same for the same text, different for nearly all others (FNV-1a).
pub fn short_hash(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{:08x}", hash as u32 ^ (hash >> 32) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_by_seed_and_by_number() {
        let seed = Seed([7; 16]);
        assert_eq!(seed.id("call_"), seed.id("call_"));
        assert_ne!(seed.nth(0).id("call_"), seed.nth(1).id("call_"));
        assert_eq!(seed.id("call_").len(), 29);
    }
}
