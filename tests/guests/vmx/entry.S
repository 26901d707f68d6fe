// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Into L2 and out again, and what L2 executes. */
#include "vm.h"

	.text
	.code64
	.globl	vm_enter, vm_exit_point
/* bool vm_enter(struct vm *vm): false if the entry failed at once. */
vm_enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	cmp	%rsp, VM_HOST_RSP(%rdi)
	je	1f
	mov	%rsp, VM_HOST_RSP(%rdi)
	mov	$0x6c14, %eax			/* VMCS_HOST_RSP */
	vmwrite	%rsp, %rax
1:	cmpq	$0, VM_LAUNCHED(%rdi)
	mov	0(%rdi), %rax
	mov	8(%rdi), %rcx
	mov	16(%rdi), %rdx
	mov	24(%rdi), %rbx
	mov	40(%rdi), %rbp
	mov	48(%rdi), %rsi
	mov	64(%rdi), %r8
	mov	72(%rdi), %r9
	mov	80(%rdi), %r10
	mov	88(%rdi), %r11
	mov	96(%rdi), %r12
	mov	104(%rdi), %r13
	mov	112(%rdi), %r14
	mov	120(%rdi), %r15
	mov	56(%rdi), %rdi
	jne	2f
	vmlaunch
	jmp	3f
2:	vmresume
3:	pop	%rdi
	xor	%eax, %eax
	jmp	4f

vm_exit_point:
	push	%rdi
	mov	8(%rsp), %rdi
	mov	%rax, 0(%rdi)
	mov	%rcx, 8(%rdi)
	mov	%rdx, 16(%rdi)
	mov	%rbx, 24(%rdi)
	mov	%rbp, 40(%rdi)
	mov	%rsi, 48(%rdi)
	pop	56(%rdi)
	mov	%r8, 64(%rdi)
	mov	%r9, 72(%rdi)
	mov	%r10, 80(%rdi)
	mov	%r11, 88(%rdi)
	mov	%r12, 96(%rdi)
	mov	%r13, 104(%rdi)
	mov	%r14, 112(%rdi)
	mov	%r15, 120(%rdi)
	movq	$1, VM_LAUNCHED(%rdi)
	pop	%rdi
	mov	$1, %eax
4:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.globl	l2_read, l2_write, l2_fetch, l2_vmcall, l2_touch_pages, l2_vmfunc, l2_write_device
	.globl	l2_read32, l2_write32, l2_fetch32, l2_read16, l2_write16, l2_fetch16
l2_read:
	mov	(%rdi), %rax
l2_vmcall:
	vmcall
l2_write:
	mov	%rax, (%rdi)
	vmcall
l2_fetch:
	call	*%rdi
	vmcall
/* Four bytes. */
l2_write_device:
	mov	%eax, (%rdi)
	vmcall

/* Write RAX to RCX pages from RDI on. */
l2_touch_pages:
	mov	%rax, (%rdi)
	add	$0x1000, %rdi
	dec	%rcx
	jnz	l2_touch_pages
	vmcall

/* VM function EAX with index ECX, then read. */
l2_vmfunc:
	vmfunc
	mov	(%rdi), %rax
	vmcall

	.code32
l2_read32:
	mov	(%edi), %eax
	vmcall
l2_write32:
	mov	%eax, (%edi)
	vmcall

l2_fetch32:
	call	*%edi
	vmcall

	.code16
l2_read16:
	movl	(%di), %eax
	vmcall
l2_write16:
	movl	%eax, (%di)
	vmcall
l2_fetch16:
	call	*%di
	vmcall

	.section .note.GNU-stack, "", @progbits
