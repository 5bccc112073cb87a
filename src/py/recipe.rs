//! What a short pickle says, step by step: read once, and followed as often as the same bytes come again.
//!
//! Which step finds what on the stack can be told beforehand, so that nothing of the program's has been run when a pickle
//! turns out to be none of those that are known here.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

/// A step. What it takes from the stack lies on top, or from a place on.
pub enum Step {
    /// It has become none.
    Nothing,
    /// Something that nobody can change.
    Push(Py<PyAny>),
    /// What a module has by a name: what the audit event is told, that module, the name.
    Global(Py<PyTuple>),
    /// The same, where that is to be looked for in what a module has.
    Find(Py<PyTuple>),
    ByteArray(Py<PyBytes>),
    List,
    Dict,
    Set,
    Tuple(usize),
    FrozenSet(usize),
    /// To what is below that place.
    Append(usize),
    SetItems(usize),
    AddItems(usize),
    /// Of a class, and arguments.
    New,
    /// Of a class, arguments, and those by name.
    NewNamed,
    Reduce,
    /// An object has this state.
    Build,
    /// What is below that place has a dict of all from there on as its state, so many keys and values.
    BuildOf {
        from: usize,
        count: usize,
        /// Whether that dict is kept to the end.
        is_kept: bool,
    },
    /// Keep what is on top, under a number; push what has a number.
    Keep(usize),
    Kept(usize),
    /// An object of a class of no arguments, whose state is a dict of what nobody can change: `Global` to `BuildOf` at once.
    Record(Record),
}

/// What it is made of.
pub struct Record {
    /// As `Global` has them.
    pub names: Py<PyTuple>,
    pub state: Vec<(Py<PyAny>, Py<PyAny>)>,
    /// As of `BuildOf`.
    pub is_kept: bool,
    /// The object's number, if that is kept to the end.
    pub keep: Option<usize>,
}

/// The steps, after which the stack has one object.
pub struct Recipe {
    pub steps: Vec<Step>,
    /// So long the stack becomes, and so many are kept.
    pub depth: usize,
    pub kept: usize,
}

impl Recipe {
    /// The same in fewer steps, for who follows them often.
    pub fn shortened(self, py: Python<'_>) -> Self {
        let mut steps = Vec::with_capacity(self.steps.len());
        for step in self.steps.into_iter().filter(|step| !matches!(step, Step::Nothing)) {
            match step {
                Step::BuildOf { count, is_kept, .. } => match take_record(py, &mut steps, count) {
                    Some(record) => steps.push(Step::Record(Record { is_kept, ..record })),
                    None => steps.push(step),
                },
                step => steps.push(step),
            }
        }
        let (depth, kept) = match steps.as_mut_slice() {
            [Step::Record(record)] => {
                record.keep = None; // nobody asks for it, and it lives anyway
                (0, 0)
            }
            _ => (self.depth, self.kept),
        };
        Self { steps, depth, kept }
    }
}

/// Take what makes an object and a state of so many keys and values, before it is built of that, if these are steps of a
/// `Record`.
fn take_record(py: Python<'_>, steps: &mut Vec<Step>, count: usize) -> Option<Record> {
    let made_by = steps.iter().rposition(|step| !matches!(step, Step::Push(_)))?;
    let keep = match steps[made_by] {
        Step::Keep(number) => Some(number),
        _ => None,
    };
    let head = 3 + usize::from(keep.is_some());
    let first = (made_by + 1).checked_sub(head)?;
    let Some([Step::Global(names), Step::Push(arguments), Step::New, ..]) = steps.get(first..) else {
        return None;
    };
    // Behind what lies in the place of the dict. If there are more, the state is of one of these.
    if steps.len() != first + head + 1 + count {
        return None;
    }
    if !arguments
        .bind(py)
        .cast::<PyTuple>()
        .is_ok_and(|arguments| arguments.is_empty())
    {
        return None;
    }
    let names = names.clone_ref(py);
    let mut objects = steps.drain(first..).skip(head + 1).map(|step| match step {
        Step::Push(object) => object,
        _ => py.None(),
    });
    let mut state = Vec::new();
    while let (Some(name), Some(value)) = (objects.next(), objects.next()) {
        state.push((name, value));
    }
    drop(objects);
    Some(Record {
        names,
        state,
        is_kept: false,
        keep,
    })
}
