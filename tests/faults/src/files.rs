//! Small trees of files, as values.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Regular files by their path below a root.
pub type Files = BTreeMap<String, Vec<u8>>;

/// How the files of an application look when they were changed so many times: some stay, some
/// change, some come and go, and some of their content was there before.
pub fn version(number: u64) -> Files {
    let mut files = Files::new();
    files.insert("stays/a".into(), noise(1, 30_000));
    files.insert("stays/empty".into(), Vec::new());
    files.insert("changes".into(), noise(100 + number, 20_000));
    files.insert(format!("new/{number}"), noise(200 + number, 5_000));
    files.insert(format!("back/{}", number % 2), noise(300 + number % 2, 8_000));
    let mut large = noise(2, 400_000);
    large.splice(70_000..70_100, noise(400 + number, 100));
    files.insert("large".into(), large);
    files
}

/// Bytes that look random and are the same every time.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut dice = Dice(seed);
    let words = std::iter::repeat_with(|| dice.next().to_le_bytes());
    words.flatten().take(length).collect()
}

/// Numbers that look random (`SplitMix64`).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next number.
    #[allow(clippy::should_implement_trait, reason = "it never ends")]
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// One of the numbers below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// Makes `root` hold exactly these files.
pub fn write(root: &Path, files: &Files) {
    let _ = fs::remove_dir_all(root);
    for (path, bytes) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// The files below `root`.
pub fn read(root: &Path) -> Files {
    let mut files = Files::new();
    collect(root, "", &mut files);
    files
}

fn collect(root: &Path, prefix: &str, files: &mut Files) {
    for entry in fs::read_dir(root).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            collect(&entry.path(), &format!("{name}/"), files);
        } else {
            files.insert(name, fs::read(entry.path()).unwrap());
        }
    }
}
