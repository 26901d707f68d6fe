// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* From protected mode without paging to real mode, and back. */
#include "selectors.h"

#define REAL_PAGE 0x7000			/* where the 16-bit code is copied to; nothing else is there */

	.text
	.code32
/* u16 real_run(u32 address): the word there is read in real mode, and its double written behind it. Below 64 KiB. */
	.globl	real_run
real_run:
	pushl	%ebx
	pushl	%ebp
	pushl	%esi
	pushl	%edi
	movl	20(%esp), %ebx
	movl	$real_begin, %esi
	movl	$REAL_PAGE, %edi
	movl	$real_end - real_begin, %ecx
	rep movsb
	sidt	kept_idt
	movl	%esp, kept_stack
	lidt	real_idt
	ljmp	$SEL_CODE16, $REAL_PAGE

/* Back, in 32 bits. */
real_back:
	movl	$SEL_DATA, %edx
	movl	%edx, %ds
	movl	%edx, %es
	movl	%edx, %ss
	movl	kept_stack, %esp
	lidt	kept_idt
	movzwl	%ax, %eax
	popl	%edi
	popl	%esi
	popl	%ebp
	popl	%ebx
	ret

	.code16
real_begin:
	movw	$SEL_DATA16, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movl	%cr0, %eax
	andb	$0xfe, %al
	movl	%eax, %cr0
	ljmp	$0, $REAL_PAGE + (1f - real_begin)
1:	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	(%bx), %cx
	movw	%cx, %dx
	addw	%dx, %dx
	movw	%dx, 2(%bx)
	movl	%cr0, %eax
	orb	$1, %al
	movl	%eax, %cr0
	movw	%cx, %ax
	ljmpl	$SEL_CODE32, $real_back
real_end:

	.data
	.balign 4
kept_stack:
	.long	0
kept_idt:
	.skip	8
real_idt:
	.word	0x3ff
	.long	0

	.section .note.GNU-stack, "", @progbits
