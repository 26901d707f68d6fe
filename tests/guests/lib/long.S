// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Long mode left and entered again, which is the only way to change some of CR4. */
#include "selectors.h"

	.text
/* void long_restart(uptr cr3, uptr cr4): both below 4 GiB; this code and the stack are mapped to themselves. */
	.globl	long_restart
long_restart:
	pushfq
	cli
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	pushq	$SEL_CODE32
	pushq	$1f
	lretq
	.code32
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ss
	movl	%cr0, %eax
	andl	$0x7fffffff, %eax
	movl	%eax, %cr0			/* paging off: EFER.LMA is clear */
	movl	%esi, %cr4
	movl	%edi, %cr3
	orl	$0x80000000, %eax
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $2f
	.code64
2:	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	popfq
	ret

	.section .note.GNU-stack, "", @progbits
