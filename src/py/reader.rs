//! Reads what a short pickle says: a recipe, if all of it is known here.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyFloat, PyInt, PyString, PyTuple};

use super::opcodes::*;
use super::recipe::{Recipe, Step};
use super::unchanging;

/// What pickles begin with that are known here: in older ones, names are other ones.
const KNOWN: [[u8; 2]; 2] = [[PROTOCOL, 4], [PROTOCOL, 5]];

/// The recipe of a pickle, `None` for one that only the standard unpickler knows, or nobody.
pub fn recipe_of(py: Python<'_>, pickle: &[u8]) -> Option<Recipe> {
    let (head, rest) = pickle.split_first_chunk()?;
    if !KNOWN.contains(head) {
        return None;
    }
    let mut reader = Reader {
        py,
        rest,
        steps: Vec::with_capacity(24),
        stack: Vec::with_capacity(16),
        marks: Vec::new(),
        memo: Vec::new(),
        kept: 0,
        depth: 0,
    };
    loop {
        match reader.byte()? {
            STOP => break,
            code => reader.read(code)?,
        }
        reader.depth = reader.depth.max(reader.stack.len());
    }
    let is_whole = reader.rest.is_empty() && reader.stack.len() == 1 && reader.marks.is_empty();
    is_whole.then_some(Recipe {
        steps: reader.steps,
        depth: reader.depth,
        kept: reader.kept,
    })
}

enum Memo {
    Value(Py<PyAny>),
    /// What a step makes and another one keeps, under a number; and whether it is asked for.
    Made {
        maker: usize,
        keeper: usize,
        number: usize,
        is_used: bool,
    },
    /// It is not made at all.
    Gone,
}

/// Reads a pickle.
struct Reader<'a, 'py> {
    py: Python<'py>,
    rest: &'a [u8],
    steps: Vec<Step>,
    /// For what will be on the stack, the steps that make it.
    stack: Vec<usize>,
    marks: Vec<usize>,
    /// What the pickle numbers.
    memo: Vec<Memo>,
    kept: usize,
    depth: usize,
}

impl<'a, 'py> Reader<'a, 'py> {
    fn read(&mut self, code: u8) -> Option<()> {
        match code {
            FRAME => {
                let length = u64::from_le_bytes(self.array()?);
                (length <= self.rest.len() as u64).then_some(())
            }
            MARK => {
                self.marks.push(self.stack.len());
                Some(())
            }
            KEEP => self.keep(),
            KEPT => self.push_kept(),
            STR => match self.global_next() {
                Some(names) => self.push_global(names),
                None => self.push_text(1),
            },
            LONG_STR => self.push_text(4),
            CLASS => self.push_found(),
            BYTE_ARRAY => {
                let length = usize::try_from(u64::from_le_bytes(self.array()?)).ok()?;
                let bytes = PyBytes::new(self.py, self.take(length)?);
                self.push(Step::ByteArray(bytes.unbind()))
            }
            NO_LIST => self.push(Step::List),
            NO_DICT => self.push(Step::Dict),
            NO_SET => self.push(Step::Set),
            TUPLE_OF_ONE | TUPLE_OF_TWO | TUPLE_OF_THREE => {
                let from = self.below(usize::from(code - TUPLE_OF_ONE) + 1)?;
                self.replace(from, Step::Tuple(from))
            }
            TUPLE => {
                let from = self.marks.pop()?;
                self.replace(from, Step::Tuple(from))
            }
            FROZEN_SET => {
                let from = self.marks.pop()?;
                self.replace(from, Step::FrozenSet(from))
            }
            NEW_OBJECT => self.replace(self.below(2)?, Step::New),
            NEW_OBJECT_NAMED => self.replace(self.below(3)?, Step::NewNamed),
            REDUCE => self.replace(self.below(2)?, Step::Reduce),
            BUILD => self.change(self.below(1)?, Step::Build),
            APPEND => {
                let from = self.below(1)?;
                self.change_by(from, Step::Append(from))
            }
            APPENDS => {
                let from = self.marks.pop()?;
                self.change_by(from, Step::Append(from))
            }
            SET_ITEM => self.set_items(self.below(2)?),
            SET_ITEMS => {
                let from = self.marks.pop()?;
                self.set_items(from)
            }
            ADD_ITEMS => {
                let from = self.marks.pop()?;
                self.change_by(from, Step::AddItems(from))
            }
            _ => {
                let value = self.value(code)?;
                self.push(Step::Push(value.unbind()))
            }
        }
    }

    /// What an opcode says that has its value behind it.
    fn value(&mut self, code: u8) -> Option<Bound<'py, PyAny>> {
        let py = self.py;
        Some(match code {
            NONE => py.None().into_bound(py),
            TRUE | FALSE => PyBool::new(py, code == TRUE).to_owned().into_any(),
            INT_OF_ONE => PyInt::new(py, self.byte()?).into_any(),
            INT_OF_TWO => PyInt::new(py, u16::from_le_bytes(self.array()?)).into_any(),
            INT_OF_FOUR => PyInt::new(py, i32::from_le_bytes(self.array()?)).into_any(),
            INT_COUNTED => {
                let bytes = self.counted(1).filter(|bytes| bytes.len() <= 8)?;
                let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
                let mut whole = [if is_negative { 0xff } else { 0 }; 8];
                whole[..bytes.len()].copy_from_slice(bytes);
                PyInt::new(py, i64::from_le_bytes(whole)).into_any()
            }
            FLOAT => PyFloat::new(py, f64::from_be_bytes(self.array()?)).into_any(),
            BYTES => PyBytes::new(py, self.counted(1)?).into_any(),
            LONG_BYTES => PyBytes::new(py, self.counted(4)?).into_any(),
            NO_TUPLE => PyTuple::empty(py).into_any(),
            _ => return None,
        })
    }

    /// A text: a name that is known, where the key of a dict is to be.
    fn push_text(&mut self, digits: usize) -> Option<()> {
        let text = std::str::from_utf8(self.counted(digits)?).ok()?;
        let object = if self.is_key_next() {
            unchanging::known_name(self.py, text)
        } else {
            PyString::new(self.py, text).into_any()
        };
        self.push(Step::Push(object.unbind()))
    }

    fn is_key_next(&self) -> bool {
        let of_mark = self
            .marks
            .last()
            .filter(|mark| (self.stack.len() - **mark) % 2 == 0)
            .and_then(|mark| self.stack.get(mark.checked_sub(1)?));
        let makers = [of_mark, self.stack.last()].into_iter().flatten();
        makers
            .map(|maker| &self.steps[*maker])
            .any(|step| matches!(step, Step::Dict))
    }

    /// The names of a module and of something in it, if that is what comes next; they are kept, too.
    fn global_next(&mut self) -> Option<Bound<'py, PyTuple>> {
        let (mut rest, mut texts, mut are_kept) = (self.rest, [&[][..]; 2], [false; 2]);
        for number in 0..2 {
            if number > 0 {
                rest = rest.strip_prefix(&[STR])?;
            }
            let (length, behind) = rest.split_first()?;
            (texts[number], rest) = behind.split_at_checked(usize::from(*length))?;
            if let Some(behind) = rest.strip_prefix(&[KEEP]) {
                (rest, are_kept[number]) = (behind, true);
            }
        }
        rest = rest.strip_prefix(&[CLASS])?;
        let said = &self.rest[..self.rest.len() - rest.len()];
        let names = unchanging::names(self.py, said, texts)?;
        for (at, is_kept) in are_kept.into_iter().enumerate() {
            if is_kept {
                self.memo.push(Memo::Value(names.get_item(at + 1).ok()?.unbind()));
            }
        }
        self.rest = rest;
        Some(names)
    }

    fn push_global(&mut self, names: Bound<'py, PyTuple>) -> Option<()> {
        let name = names.get_item(2).ok()?;
        let is_found_at_once = !name.cast::<PyString>().ok()?.to_str().ok()?.contains(['.', '<']);
        let names = names.unbind();
        self.push(if is_found_at_once {
            Step::Global(names)
        } else {
            Step::Find(names)
        })
    }

    /// What two texts say that are on the stack.
    fn push_found(&mut self) -> Option<()> {
        let from = self.below(2)?;
        let mut text = |at: usize| {
            let step = self.steps.get_mut(self.stack[at])?;
            let Step::Push(object) = step else { return None };
            let text = object.bind(self.py).cast_exact::<PyString>().ok()?.clone();
            *step = Step::Nothing;
            Some(text)
        };
        let both = (text(from)?, text(from + 1)?);
        self.stack.truncate(from);
        self.push_global(unchanging::told_with(self.py, &both.0, &both.1).ok()?)
    }

    /// The standard unpickler keeps all that is numbered until it is done: so it lives as long here.
    fn keep(&mut self) -> Option<()> {
        let maker = self.stack[self.below(1)?];
        if let Step::Push(object) = &self.steps[maker] {
            self.memo.push(Memo::Value(object.clone_ref(self.py)));
            return Some(());
        }
        let number = self.kept;
        self.kept += 1;
        self.memo.push(Memo::Made {
            maker,
            keeper: self.steps.len(),
            number,
            is_used: false,
        });
        let lives_anyway = matches!(self.steps[maker], Step::Global(_) | Step::Find(_));
        self.steps.push(if lives_anyway {
            Step::Nothing
        } else {
            Step::Keep(number)
        });
        Some(())
    }

    fn push_kept(&mut self) -> Option<()> {
        let number = usize::from(self.byte()?);
        let step = match self.memo.get_mut(number)? {
            Memo::Value(object) => Step::Push(object.clone_ref(self.py)),
            Memo::Made {
                keeper,
                number,
                is_used,
                ..
            } => {
                *is_used = true;
                self.steps[*keeper] = Step::Keep(*number);
                Step::Kept(*number)
            }
            Memo::Gone => return None,
        };
        self.push(step)
    }

    /// The keys and values from here on, of a dict below.
    fn set_items(&mut self, from: usize) -> Option<()> {
        if (self.stack.len() - from) % 2 == 1 {
            return None;
        }
        if self.rest.first() == Some(&BUILD) && self.below(self.stack.len() - from + 2).is_some() {
            if let Some(is_kept) = self.need_no_dict(from) {
                self.byte();
                let count = self.stack.len() - from;
                return self.change(from - 1, Step::BuildOf { from, count, is_kept });
            }
        }
        self.change_by(from, Step::SetItems(from))
    }

    /// Whether a state need not be made a dict before an object has it, its keys being names, and whether that dict is kept.
    /// Something lies in its place then.
    fn need_no_dict(&mut self, from: usize) -> Option<bool> {
        let (dict, first) = (self.stack[from - 1], *self.stack.get(from)?);
        let is_new = matches!(self.steps[dict], Step::Dict);
        let behind = &self.steps[dict + 1..first];
        if !is_new || !behind.iter().all(|step| matches!(step, Step::Nothing | Step::Keep(_))) {
            return None;
        }
        let memo = self
            .memo
            .iter_mut()
            .find(|memo| matches!(memo, Memo::Made { maker, .. } if *maker == dict));
        if matches!(memo, Some(Memo::Made { is_used: true, .. })) {
            return None;
        }
        let is_kept = memo.is_some();
        let memo = memo.map(|memo| std::mem::replace(memo, Memo::Gone));
        for key in (from..self.stack.len()).step_by(2) {
            let Step::Push(name) = &mut self.steps[self.stack[key]] else {
                return None;
            };
            *name = unchanging::interned(name.bind(self.py).cast_exact().ok()?).unbind();
        }
        if let Some(Memo::Made { keeper, .. }) = memo {
            self.steps[keeper] = Step::Nothing;
        }
        self.steps[dict] = Step::Push(self.py.None());
        Some(is_kept)
    }

    fn push(&mut self, step: Step) -> Option<()> {
        self.stack.push(self.steps.len());
        self.steps.push(step);
        Some(())
    }

    /// A step that takes all from a place on, and leaves one there.
    fn replace(&mut self, from: usize, step: Step) -> Option<()> {
        self.stack.truncate(from);
        self.push(step)
    }

    /// A step that takes all from a place on, and changes what is below, if that is above the last mark.
    fn change(&mut self, from: usize, step: Step) -> Option<()> {
        if from <= self.fence() {
            return None;
        }
        self.stack.truncate(from);
        self.steps.push(step);
        Some(())
    }

    /// The same, if there is anything from there on.
    fn change_by(&mut self, from: usize, step: Step) -> Option<()> {
        if from == self.stack.len() {
            return (from > self.fence()).then_some(());
        }
        self.change(from, step)
    }

    /// The place of so many on top, above the last mark.
    fn below(&self, count: usize) -> Option<usize> {
        self.stack
            .len()
            .checked_sub(count)
            .filter(|place| *place >= self.fence())
    }

    fn fence(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    /// Bytes behind their number, which has one byte or four.
    fn counted(&mut self, digits: usize) -> Option<&'a [u8]> {
        let length = match digits {
            1 => usize::from(self.byte()?),
            _ => u32::from_le_bytes(self.array()?) as usize,
        };
        self.take(length)
    }
}
