//! Classic BPF over `struct seccomp_data`, as far as a filter needs it (seccomp(2)).
//!
//! A block always ends in an answer, so blocks compose without labels.

use nix::libc;

/// Instructions that end in an answer on every way.
pub(super) type Block = Vec<libc::sock_filter>;

/// Offset of the system call's number.
pub(super) const NUMBER: u32 = 0;
/// Offset of the architecture.
pub(super) const ARCHITECTURE: u32 = 4;

/// Offset of the lower half of an argument: what the kernel looks at of an `int`.
pub(super) fn low(argument: u32) -> u32 {
    16 + 8 * argument + if cfg!(target_endian = "big") { 4 } else { 0 }
}

/// Offset of the upper half.
pub(super) fn high(argument: u32) -> u32 {
    16 + 8 * argument + if cfg!(target_endian = "big") { 0 } else { 4 }
}

/// Loads the word at `offset`, then goes on with `then`.
pub(super) fn load(offset: u32, then: Block) -> Block {
    let mut block = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)];
    block.extend(then);
    block
}

/// The same with only the bits of `mask`.
pub(super) fn load_masked(offset: u32, mask: u32, then: Block) -> Block {
    let mut block = vec![statement(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, mask, 0, 0)];
    block.extend(then);
    load(offset, block)
}

/// Is the loaded word one of `values`?
pub(super) fn among(values: &[u32], then: Block, otherwise: Block) -> Block {
    let mut block = Vec::with_capacity(values.len() + 1 + then.len() + otherwise.len());
    for (index, value) in values.iter().enumerate() {
        // Over the comparisons that follow, and the jump behind them.
        let over = u8::try_from(values.len() - index).unwrap_or(u8::MAX);
        block.push(statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, *value, over, 0));
    }
    block.push(jump(then.len()));
    block.extend(then);
    block.extend(otherwise);
    block
}

/// Has the loaded word any bit of `mask`?
pub(super) fn any_bit(mask: u32, then: Block, otherwise: Block) -> Block {
    let mut block = vec![statement(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K, mask, 1, 0)];
    block.push(jump(then.len()));
    block.extend(then);
    block.extend(otherwise);
    block
}

/// Answers with an action of the filter.
pub(super) fn answer(action: u32) -> Block {
    vec![statement(libc::BPF_RET | libc::BPF_K, action, 0, 0)]
}

/// Fails the call with an error number.
pub(super) fn refuse(errno: i32) -> Block {
    answer(libc::SECCOMP_RET_ERRNO | errno.cast_unsigned())
}

fn jump(over: usize) -> libc::sock_filter {
    // A program has at most 4096 instructions (BPF_MAXINSNS).
    let over = u32::try_from(over).unwrap_or(u32::MAX);
    statement(libc::BPF_JMP | libc::BPF_JA | libc::BPF_K, over, 0, 0)
}

fn statement(code: u32, value: u32, yes: u8, no: u8) -> libc::sock_filter {
    // The opcodes are small numbers in wide constants.
    let code = u16::try_from(code).unwrap_or_default();
    libc::sock_filter { code, jt: yes, jf: no, k: value }
}
