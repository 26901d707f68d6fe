// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * From the loader (multiboot, 32 bits) to 64-bit C: 4 GiB mapped to themselves in pages of 2 MiB, and the first GiB
 * once more at USER_ALIAS for ring 3. The other CPUs come by ap_begin, which smp.c copies below 1 MiB.
 */
#define MULTIBOOT_MAGIC 0x1badb002
#define MULTIBOOT_FLAGS 0x3			/* modules on page borders, and the memory map */
#define STACK_BYTES 0x4000
#define CPUS 8
#define USER_ALIAS_SLOT 0xc0			/* of the top table: USER_ALIAS in memory.h */

#include "selectors.h"

	.section .multiboot, "a"
	.balign 4
	.long	MULTIBOOT_MAGIC, MULTIBOOT_FLAGS, -(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS)

	.text
	.code32
	.globl	start
start:
	cli
	cld
	movl	%ebx, boot_info

	/* The tables: top -> 4 directories of 512 large pages, and one more directory for ring 3. */
	movl	$boot_pdpt + 0x3, boot_pml4
	movl	$boot_user_pdpt + 0x7, boot_pml4 + 8 * USER_ALIAS_SLOT
	movl	$boot_user_pd + 0x7, boot_user_pdpt
	xorl	%ecx, %ecx
1:	movl	%ecx, %eax
	shll	$12, %eax
	addl	$boot_pd + 0x3, %eax
	movl	%eax, boot_pdpt(, %ecx, 8)
	incl	%ecx
	cmpl	$4, %ecx
	jne	1b
	xorl	%ecx, %ecx
2:	movl	%ecx, %eax
	shll	$21, %eax
	orl	$0x83, %eax
	movl	%eax, boot_pd(, %ecx, 8)
	orl	$0x4, %eax
	cmpl	$512, %ecx
	jae	3f
	movl	%eax, boot_user_pd(, %ecx, 8)
3:	incl	%ecx
	cmpl	$2048, %ecx
	jne	2b

	lgdt	gdt_pointer

/* With the segments of a loader, or of ap_begin, and the tables made. */
ap_start32:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	movl	$0x220, %eax			/* CR4.PAE, CR4.OSFXSR */
	movl	%eax, %cr4
	movl	$boot_pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	$0x80010033, %eax		/* CR0: PG, WP, NE, ET, MP, PE */
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $start64

	.code64
start64:
	movl	$1, %eax
	lock xaddl %eax, cpus_started
	cmpl	$CPUS, %eax
	jae	4f
	movl	%eax, %edi
	incl	%eax
	shll	$14, %eax			/* STACK_BYTES each */
	leaq	stacks(%rax), %rsp
	xorl	%ebp, %ebp
	pushq	$0				/* C expects the stack as after a call. */
	jmp	cpu_begin
4:	hlt
	jmp	4b

	/* Real mode, at the start of a page below 1 MiB. */
	.code16
	.globl	ap_begin, ap_end
ap_begin:
	cli
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdt_pointer - ap_begin
	movl	$0x11, %eax			/* CR0: ET, PE */
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $ap_start32
	.balign 4
ap_gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
ap_end:

	.data
	.balign 16
	.globl	gdt, gdt_end, gdt_pointer, cpus_started, boot_info, boot_pml4
gdt:
	.quad	0
	.quad	0x00af9b000000ffff		/* SEL_CODE64 */
	.quad	0x00cf93000000ffff		/* SEL_DATA */
	.quad	0x00cf9b000000ffff		/* SEL_CODE32 */
	.quad	0x00009b000000ffff		/* SEL_CODE16, base 0 */
	.quad	0x000093000000ffff		/* SEL_DATA16, base 0 */
	.quad	0x00cff3000000ffff		/* SEL_USER_DATA */
	.quad	0x00affb000000ffff		/* SEL_USER_CODE64 */
	.fill	2 * CPUS, 8, 0			/* SEL_TSS + 16 * CPU */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.quad	gdt
cpus_started:
	.long	0
boot_info:
	.long	0

	.bss
	.balign 4096
boot_pml4:	.skip	4096
boot_pdpt:	.skip	4096
boot_user_pdpt:	.skip	4096
boot_user_pd:	.skip	4096
boot_pd:	.skip	4 * 4096
stacks:		.skip	CPUS * STACK_BYTES

	.section .note.GNU-stack, "", @progbits
