// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Where the entries of stubs.S go on in 64 bits, and the calls that may end by an exception: call_catching() and
 * user_enter(). Both keep RSP, with the registers a C function preserves below it, where trap_resume() finds it.
 */
#include "selectors.h"

	.text
	.globl	trap_entry
trap_entry:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	cld
	movq	%rsp, %rdi
	movq	%rsp, %rbp
	andq	$-16, %rsp
	call	trap_dispatch
	movq	%rbp, %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.macro	SAVE to
	pushfq
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, (\to)
	.endm

	.macro	RESTORE
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popfq
	.endm

/* bool call_catching(void (*fn)(void *), void *arg, uptr *rsp): true if trap_resume() ended it. */
	.globl	call_catching
call_catching:
	SAVE	%rdx
	movq	%rdi, %rax
	movq	%rsi, %rdi
	call	*%rax
	xorl	%eax, %eax
	RESTORE
	ret

/* void user_enter(u64 rip, u64 arg, u64 rsp, u64 flags, uptr *saved): returns by trap_resume(). */
	.globl	user_enter
user_enter:
	SAVE	%r8
	pushq	$SEL_USER_DATA
	pushq	%rdx
	pushq	%rcx
	pushq	$SEL_USER_CODE64
	pushq	%rdi
	movq	%rsi, %rdi
	iretq

/* void trap_resume(uptr rsp): back from call_catching() or user_enter(). */
	.globl	trap_resume
trap_resume:
	movq	%rdi, %rsp
	movl	$1, %eax
	RESTORE
	ret

	.section .note.GNU-stack, "", @progbits
