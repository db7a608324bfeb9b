/// Tokens of one call, each kind apart. Sums are made only on the way out, by dialects that show sums.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Read anew: neither from nor into a cache.
    pub input: u64,
    /// Read from a cache.
    pub cache_read: u64,
    /// Written into a cache for five minutes, or for a time the provider did not say.
    pub cache_write_5m: u64,
    /// Written into a cache for an hour.
    pub cache_write_1h: u64,
    /// Written by the model, thinking included.
    pub output: u64,
    /// Of the output, thinking.
    pub reasoning: u64,
    /// Of the input, sound.
    pub audio_input: u64,
    /// Of the output, sound.
    pub audio_output: u64,
}

impl Usage {
    /// Everything read, however.
    pub fn total_input(&self) -> u64 {
        self.input.saturating_add(self.cache_read).saturating_add(self.cache_write())
    }

    /// Everything written into a cache.
    pub fn cache_write(&self) -> u64 {
        self.cache_write_5m.saturating_add(self.cache_write_1h)
    }

    /// Everything.
    pub fn total(&self) -> u64 {
        self.total_input().saturating_add(self.output)
    }
}
