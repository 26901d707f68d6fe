// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * From the loader (multiboot, 32 bits) to 32-bit C with paging off, where the entries of stubs.S go on, and the call that
 * may end by an exception. Everything stays in ring 0.
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x3			/* modules on page borders, and the memory map */

#include "selectors.h"

	.section .multiboot, "a"
	.balign 4
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.globl	start
start:
	cli
	cld
	movl	%ebx, boot_info
	lgdt	gdt_pointer
	ljmp	$SEL_CODE32, $1f
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %fs
	movl	%eax, %gs
	movl	%eax, %ss
	movl	$stack_end, %esp
	xorl	%ebp, %ebp
	call	start32
2:	hlt
	jmp	2b

	.globl	trap_entry
trap_entry:
	pushal
	cld
	pushl	%esp
	call	trap_dispatch
	addl	$4, %esp
	popal
	addl	$8, %esp
	iretl

/* bool call_catching(void (*fn)(void *), void *arg, uptr *esp): true if trap_resume() ended it. */
	.globl	call_catching
call_catching:
	pushfl
	pushl	%ebx
	pushl	%ebp
	pushl	%esi
	pushl	%edi
	movl	32(%esp), %eax
	movl	%esp, (%eax)
	pushl	28(%esp)			/* arg */
	call	*28(%esp)			/* fn, one word further */
	addl	$4, %esp
	xorl	%eax, %eax
3:	popl	%edi
	popl	%esi
	popl	%ebp
	popl	%ebx
	popfl
	ret

/* void trap_resume(uptr esp) */
	.globl	trap_resume
trap_resume:
	movl	4(%esp), %esp
	movl	$1, %eax
	jmp	3b

	.data
	.balign 16
	.globl	boot_info, gdt, gdt_pointer
gdt:
	.quad	0, 0
	.quad	0x00cf93000000ffff		/* SEL_DATA */
	.quad	0x00cf9b000000ffff		/* SEL_CODE32 */
	.quad	0x00009b000000ffff		/* SEL_CODE16, base 0 */
	.quad	0x000093000000ffff		/* SEL_DATA16, base 0 */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
boot_info:
	.long	0

	.bss
	.balign 4096
	.skip	0x4000
stack_end:

	.section .note.GNU-stack, "", @progbits
