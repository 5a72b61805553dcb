//! Distinct client addresses, estimated from a HyperLogLog sketch.

use tracer_common::sketch::{REGISTERS, Sketch};

/// Merges the addresses of another sketch into one.
pub(super) fn merge(into: &mut Sketch, other: &Sketch) {
    for (register, other) in into.iter_mut().zip(other) {
        *register = (*register).max(*other);
    }
}

/// The estimated number of addresses (Flajolet and others, 2007, figure 3; with 64 bits, large numbers need
/// no correction).
pub(super) fn estimate(sketch: &Sketch) -> u64 {
    const M: f64 = REGISTERS as f64;
    const ALPHA: f64 = 0.7213 / (1.0 + 1.079 / M);
    let sum: f64 = sketch.iter().map(|rank| (-f64::from(*rank)).exp2()).sum();
    let raw = ALPHA * M * M / sum;
    let empty = sketch.iter().filter(|rank| **rank == 0).count();
    // With few addresses, the number of empty registers is the better measure (linear counting).
    let best = if raw <= 2.5 * M && empty > 0 { M * (M / empty as f64).ln() } else { raw };
    best.round() as u64
}

#[cfg(test)]
mod tests {
    use tracer_common::sketch;

    use super::*;

    fn of(addresses: std::ops::Range<u32>) -> Sketch {
        let mut registers = [0; REGISTERS];
        for address in addresses {
            sketch::add(&mut registers, &[0, 0, 0xffff, address.to_be()], [5, 6]);
        }
        registers
    }

    #[test]
    fn the_estimate_is_close_to_the_number_of_addresses() {
        assert_eq!(estimate(&of(0..0)), 0);
        assert_eq!(estimate(&of(0..1)), 1);
        for number in [10, 100, 700, 10_000, 300_000] {
            let estimate = estimate(&of(0..number));
            // Four times the standard error.
            let off = u64::from(number).abs_diff(estimate) * 100 / u64::from(number);
            assert!(off <= 26, "{estimate} for {number}");
        }
    }

    #[test]
    fn addresses_of_both_count_once() {
        let mut both = of(0..600);
        merge(&mut both, &of(300..900));
        assert_eq!(both, of(0..900));
    }
}
