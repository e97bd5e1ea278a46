//! The periods of a quota, and those in which it was used up.

use super::chain::{Place, field};

pub(crate) struct Throttled {
    pub periods: u64,
    pub throttled: u64,
    pub seconds: Option<f64>,
    /// The group that counts.
    pub place: Place,
}

impl Place {
    /// The counts of the group whose quota is reached most often: it need not be the least one, which is `by`. Of groups with
    /// about the same counts the nearest one, in which fewer others are: a pod has the quota of its only container.
    #[must_use]
    pub(crate) fn throttled(&self, by: &Place) -> Option<Throttled> {
        let quotas = self.chain().filter(|place| place.quota().is_some());
        let counts: Vec<Throttled> = quotas.filter_map(|place| place.periods()).collect();
        let most = counts.iter().map(|one| one.throttled).max().unwrap_or(0);
        let is_near = |one: &Throttled| u128::from(one.throttled) * 10 >= u128::from(most) * 9;
        counts.into_iter().find(is_near).or_else(|| by.periods())
    }

    /// The counts of this group.
    #[must_use]
    pub(crate) fn periods(&self) -> Option<Throttled> {
        let text = self.read("cpu.stat")?;
        let seconds = field(&text, "throttled_usec").map(|usec| usec as f64 / 1e6);
        let seconds = seconds.or_else(|| field(&text, "throttled_time").map(|nsec| nsec as f64 / 1e9));
        let (periods, throttled) = (field(&text, "nr_periods")?, field(&text, "nr_throttled")?);
        Some(Throttled { periods, throttled, seconds, place: self.clone() })
    }
}
