//! A fault that the scenario brings.

use super::*;

/// A scenario's own faults stand after all others.
const FIRST_PLACE: u16 = 100;
const TURN: u16 = 22;
/// Unless they end by themselves.
const LASTS: sweep::Lengths = [10_000, 500, 2_000];

fault! {
    /// A fault that the scenario brings, or a server of it: they know what the name means.
    pub struct Custom = "custom" on Own() {
        /// Its name.
        name: String,
        /// The node concerned.
        node: String,
        /// How strong; 0 where there is nothing to choose.
        amount: u64,
        /// For how many virtual milliseconds.
        for_ms: u64,
    }
    told "{node}: {name}{strength}", strength = strength(*amount);
    in words "{node} is struck by {name}{strength}", strength = strength(*amount);
    effective once "whoever brings it counts that it has touched something", counted as Custom(name, node);
    drawn |from| {
        let own = &from.profile.custom[from.variant];
        let amount = from.between(own.amount.0, own.amount.1);
        of(own, amount, from.ms(100, 20_000))
    };
}

impl Injectable for Custom {
    fn variants(profile: &Profile) -> usize {
        profile.custom.len()
    }

    /// At requests to the node concerned, and at those that it sends.
    fn candidates(at: &mut Candidates<'_>) {
        let (Kind::Send(peer), None | Some(true)) = (at.kind(), at.met.asks) else {
            return;
        };
        let columns = at.profile.custom.iter().flat_map(columns);
        for (place, (own, amount)) in (FIRST_PLACE..).zip(columns) {
            if own.node != peer && own.node != at.met.site.node {
                continue;
            }
            let heading = Heading {
                name: match amount {
                    0 => own.name.into(),
                    amount => format!("{} {amount}", own.name).into(),
                },
                place,
                turn: TURN,
            };
            at.lasting(&heading, LASTS, |for_ms| of(own, amount, for_ms));
        }
    }

    fn nodes(&self) -> Vec<&str> {
        vec![&self.node]
    }

    /// Most instants of virtual time are idle.
    fn when(&self, from: &mut Draw<'_>) -> When {
        match from.profile.programs.contains(&&*self.node) {
            true => from.site_or_instant(&self.node),
            false => from.instant(),
        }
    }

    fn check_in(&self, profile: &Profile) -> Result<(), String> {
        let (name, all) = (&self.name, &profile.custom);
        let is_it = |known: &&CustomFault| known.name == name;
        let here = all
            .iter()
            .filter(is_it)
            .find(|known| known.node == self.node);
        match here.or(all.iter().find(is_it)) {
            None if all.is_empty() => Err("the scenario brings no faults of its own".to_owned()),
            None => {
                let names: Vec<&str> = all.iter().map(|known| known.name).collect();
                let names = names.join(", ");
                Err(format!("there is no fault \"{name}\"; there are {names}"))
            }
            Some(known) if known.node != self.node => {
                Err(format!("\"{name}\" strikes {}", known.node))
            }
            Some(CustomFault { amount, .. }) if self.amount > amount.1 => {
                Err(format!("\"{name}\" has an amount of at most {}", amount.1))
            }
            Some(_) => Ok(()),
        }
    }

    fn own_name(&self) -> Option<&str> {
        Some(&self.name)
    }

    fn strike(&self, target: &dyn Target) {
        target.custom(&self.name, &self.node, self.amount, true);
    }

    fn end(&self, target: &dyn Target) {
        target.custom(&self.name, &self.node, self.amount, false);
        for other in target.alike() {
            if let Action::Custom(other) = other {
                other.strike(target);
            }
        }
    }
}

fn strength(amount: u64) -> String {
    match amount {
        0 => String::new(),
        amount => format!(" ({amount})"),
    }
}

fn of(own: &CustomFault, amount: u64, for_ms: u64) -> Custom {
    Custom::new(own.name.to_owned(), own.node.to_owned(), amount, for_ms)
}

/// The weakest and the strongest.
fn columns(own: &CustomFault) -> impl Iterator<Item = (&CustomFault, u64)> {
    let (low, high) = own.amount;
    let high = (high != low).then_some(high);
    [low]
        .into_iter()
        .chain(high)
        .map(move |amount| (own, amount))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_no_custom_fault_that_the_scenario_does_not_bring_or_a_stronger_one() {
        let profile = Profile {
            custom: vec![CustomFault {
                name: "fog",
                node: "harbour",
                amount: (2, 9),
            }],
            ..Profile::new(&[], &[])
        };
        let check = |name: &str, node: &str, amount| {
            Custom::new(name.to_owned(), node.to_owned(), amount, 1).check_in(&profile)
        };
        // The shrinker may go below what is drawn.
        assert_eq!(check("fog", "harbour", 1), Ok(()));
        for (name, node, amount, reason) in [
            (
                "frog",
                "harbour",
                5,
                "there is no fault \"frog\"; there are fog",
            ),
            ("fog", "town", 5, "\"fog\" strikes harbour"),
            ("fog", "harbour", 10, "\"fog\" has an amount of at most 9"),
        ] {
            assert_eq!(check(name, node, amount), Err(reason.to_owned()));
        }
    }
}
