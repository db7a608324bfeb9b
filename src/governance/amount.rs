//! What is limited, and how much of it.

use serde::{Deserialize, Serialize};

use super::period::Period;

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dimension {
    /// Requests.
    Requests,
    /// Tokens, read and written together.
    Tokens,
    /// Money.
    Cost,
}

impl Dimension {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 3] = [Self::Requests, Self::Tokens, Self::Cost];
}

/// So much of each dimension.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Requests.
    pub requests: u64,
    /// Tokens.
    pub tokens: u64,
    /// Pico-dollars.
    pub cost: u64,
}

impl Amount {
    /// Of one dimension.
    pub fn of(&self, dimension: Dimension) -> u64 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.tokens,
            Dimension::Cost => self.cost,
        }
    }

    /// Each dimension as `make` says.
    pub fn each(mut make: impl FnMut(Dimension) -> u64) -> Self {
        Self { requests: make(Dimension::Requests), tokens: make(Dimension::Tokens), cost: make(Dimension::Cost) }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::each(|dimension| self.of(dimension).saturating_add(other.of(dimension)))
    }

    /// What is left without the other; nothing where that is more.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self::each(|dimension| self.of(dimension).saturating_sub(other.of(dimension)))
    }

    /// The lesser of each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self::each(|dimension| self.of(dimension).min(other.of(dimension)))
    }
}

/// So much in each period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// How much: requests, tokens or pico-dollars.
    pub max: u64,
    /// How long it counts.
    pub period: Period,
}

/// The limits of a node: a virtual key, a team or a customer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Of requests.
    pub requests: Option<Limit>,
    /// Of tokens.
    pub tokens: Option<Limit>,
    /// Of money.
    pub cost: Option<Limit>,
}

impl Limits {
    /// Of one dimension.
    pub fn of(&self, dimension: Dimension) -> Option<Limit> {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::Tokens => self.tokens,
            Dimension::Cost => self.cost,
        }
    }

    /// Those dimensions that are limited.
    pub fn limited(&self) -> impl Iterator<Item = (Dimension, Limit)> {
        Dimension::ALL.into_iter().filter_map(|dimension| Some((dimension, self.of(dimension)?)))
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.limited().next().is_none()
    }
}
