//! A generated dataset of raw video frames: one directory a video, JPEG-sized objects in it.
//!
//! Sizes are log-normal, as those of compressed images are: most lie around the median, a few are ten times as large.
//! Everything follows from the seed, so that a reader can compute what each file must hold.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::synthetic::SyntheticObject;

/// Smallest and largest frame, in bytes.
const FRAME_BYTES_MIN: f64 = 5.0 * 1024.0;
const FRAME_BYTES_MAX: f64 = 4.0 * 1024.0 * 1024.0;
/// Median size of a frame, in bytes, and the sigma of the logarithm of the sizes.
const FRAME_BYTES_MEDIAN: f64 = 48.0 * 1024.0;
const FRAME_SIGMA: f64 = 0.8;

/// The shape of the dataset.
#[derive(Clone, Copy, Debug)]
pub struct Frames {
    /// Selects sizes and contents.
    pub seed: u64,
    /// Number of directories.
    pub videos: u32,
    /// Files in each directory.
    pub frames_per_video: u32,
}

/// One file of the dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Key below the bucket, e.g. `frames/video-0003/frame-00017.jpg`.
    pub key: String,
    /// Its bytes.
    pub object: SyntheticObject,
}

impl Frames {
    /// The files in the order of their keys.
    pub fn iter(self) -> impl Iterator<Item = Frame> {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let names = (0..self.videos)
            .flat_map(move |video| (0..self.frames_per_video).map(move |frame| (video, frame)));
        names.map(move |(video, frame)| Frame {
            key: format!("frames/video-{video:04}/frame-{frame:05}.jpg"),
            object: SyntheticObject { seed: rng.random(), size_bytes: frame_bytes(&mut rng) },
        })
    }
}

/// Draws a size; the normal deviate is the Box-Muller transform of two uniform ones.
fn frame_bytes(rng: &mut SmallRng) -> u64 {
    let (radius, angle): (f64, f64) = (rng.random(), rng.random());
    let normal = (-2.0 * (1.0 - radius).ln()).sqrt() * (std::f64::consts::TAU * angle).cos();
    let size = FRAME_BYTES_MEDIAN * (FRAME_SIGMA * normal).exp();
    size.clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_those_of_the_seed_and_log_normal() {
        let frames = |seed| Frames { seed, videos: 10, frames_per_video: 1000 }.iter().collect::<Vec<_>>();
        let one = frames(1);
        assert_eq!(one, frames(1));
        assert_ne!(one, frames(2));
        assert!(one.is_sorted_by(|a, b| a.key < b.key));
        let mut sizes: Vec<f64> = one.iter().map(|frame| frame.object.size_bytes as f64).collect();
        sizes.sort_by(f64::total_cmp);
        // the median of a log-normal distribution is exp(mu), its 84th percentile exp(mu + sigma)
        let (median, sigma_above) = (sizes[5000], sizes[8413]);
        assert!((median / FRAME_BYTES_MEDIAN - 1.0).abs() < 0.05, "{median}");
        assert!((sigma_above / median / FRAME_SIGMA.exp() - 1.0).abs() < 0.07, "{sigma_above}");
    }
}
