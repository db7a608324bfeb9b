use std::borrow::Cow;

/// Something that the target dialect cannot say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// Where it stood in the source.
    pub path: String,
    /// Why it is gone.
    pub reason: Cow<'static, str>,
}

/// What a translation dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Losses(Vec<Loss>);

impl Losses {
    /// Notes that the member at `path` was dropped.
    pub fn add(&mut self, path: impl Into<String>, reason: impl Into<Cow<'static, str>>) {
        self.0.push(Loss { path: path.into(), reason: reason.into() });
    }

    /// Notes everything that a decoder did not take.
    pub fn rest(&mut self, fields: crate::base::fields::Fields) {
        fields.rest().for_each(|(path, _)| self.add(path, "not known here"));
    }

    /// Notes the member if it is there.
    pub fn if_some<T>(&mut self, value: Option<T>, path: &str, reason: &'static str) {
        if value.is_some() {
            self.add(path, reason);
        }
    }

    /// All of them, in the order found.
    pub fn iter(&self) -> impl Iterator<Item = &Loss> {
        self.0.iter()
    }

    /// Whether nothing was lost.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes over the losses of another translation.
    pub fn append(&mut self, other: Losses) {
        self.0.extend(other.0);
    }
}

/// A request that the target cannot serve with its meaning kept. Never silent: a 200 with another meaning is the worst outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The member that cannot be kept.
    pub path: String,
    /// Why, and what to do.
    pub message: String,
}

impl Refused {
    /// A refusal because of the member at `path`.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into() }
    }
}
