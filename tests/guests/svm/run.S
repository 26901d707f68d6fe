// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Into a guest and back, from long mode or from another mode of the host, since the host's mode says in which format
 * the CPU reads nested tables.
 */
#include "selectors.h"

	.text
	.code64

/* struct svm_registers: rbx, rcx, rdx, rsi, rdi */
.macro load_registers from
	mov	0(\from), %rbx
	mov	8(\from), %rcx
	mov	16(\from), %rdx
	mov	24(\from), %rsi
	mov	32(\from), %rdi
.endm

/* void svm_run_long(struct svm_registers *registers, struct svm_vmcb *vmcb) */
	.global	svm_run_long
svm_run_long:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	%rsi, %rax
	clgi
	load_registers %rdi
	vmrun	%rax
	mov	(%rsp), %rax
	mov	%rbx, 0(%rax)
	mov	%rcx, 8(%rax)
	mov	%rdx, 16(%rax)
	mov	%rsi, 24(%rax)
	mov	%rdi, 32(%rax)
	stgi
	pop	%rdi
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/*
 * void svm_run_mode(struct svm_registers *registers, struct svm_vmcb *vmcb, const struct svm_host_mode *mode)
 *
 * Leaves long mode for { cr4, cr3, efer }, runs the guest there in 32-bit code, and comes back. The image, the stack
 * and all that is passed are below 4 GiB; registers of the guest have 32 bits.
 *
 * QEMU's emulated CPU sets A in the first entry of a PAE root, where the bit is reserved, and whoever loads the entry
 * into a register refuses it then. So the bit is cleared before each load; behind the last one no memory is touched
 * that is not in the TLB.
 */
	.global	svm_run_mode
svm_run_mode:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%cr4, %rax
	push	%rax
	mov	%cr3, %rax
	push	%rax
	mov	%edi, %ebx
	mov	%esi, %ebp
	mov	%edx, %esi
	mov	$0xc0000080, %ecx
	rdmsr
	push	%rax
	push	%rbx
	mov	%esp, %edi
	pushq	$SEL_CODE32
	pushq	$1f
	lretq

	.code32
1:	mov	$SEL_DATA, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	%edi, %esp
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx
	xor	%edx, %edx
	mov	16(%esi), %eax
	wrmsr
	mov	0(%esi), %eax
	mov	%eax, %cr4
	mov	8(%esi), %edx
	mov	%edx, %cr3
	andl	$~0x20, (%edx)
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0

	mov	(%esp), %eax
	clgi
	mov	0(%eax), %ebx
	mov	8(%eax), %ecx
	mov	24(%eax), %esi
	mov	32(%eax), %edi
	mov	16(%eax), %eax
	andl	$~0x20, (%edx)
	mov	%eax, %edx
	mov	%ebp, %eax
	vmrun	%eax
	mov	(%esp), %eax
	mov	%ebx, 0(%eax)
	mov	%ecx, 8(%eax)
	mov	%edx, 16(%eax)
	mov	%esi, 24(%eax)
	mov	%edi, 32(%eax)
	stgi

	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	mov	24(%esp), %eax
	mov	%eax, %cr4
	mov	16(%esp), %eax
	mov	%eax, %cr3
	mov	8(%esp), %eax
	mov	$0xc0000080, %ecx
	xor	%edx, %edx
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	ljmp	$SEL_CODE64, $2f

	.code64
2:	mov	%esp, %esp
	add	$32, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

/*
 * What guests execute, at l2_code in their memory; the bytes mean the same in 32-bit and 64-bit mode. A guest gets its
 * work in registers, and each piece ends by VMMCALL.
 */
	.section .rodata
	.code32
	.global	l2_begin, l2_read, l2_write, l2_jump, l2_touch, l2_copy, l2_idle, l2_end
l2_begin:
l2_read:				/* edi: address -> edx */
	mov	(%edi), %edx
	vmmcall
	jmp	l2_read
l2_write:				/* edi: address, esi: value */
	mov	%esi, (%edi)
	vmmcall
	jmp	l2_write
l2_jump:				/* edi: address of a VMMCALL */
	jmp	*%edi
l2_touch:				/* edi: address, esi: stride, ecx: how many words to write, ecx itself */
	mov	%ecx, (%edi)
	add	%esi, %edi
	sub	$1, %ecx
	jnz	l2_touch
	vmmcall
	jmp	l2_touch
l2_copy:				/* esi: address, edi: address to copy a word to */
	movsl
	vmmcall
	jmp	l2_copy
l2_idle:
	vmmcall
	jmp	l2_idle
l2_end:

	.section .note.GNU-stack, "", @progbits
