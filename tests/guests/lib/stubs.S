// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The entries of all 256 vectors, the same text for 32 and for 64 bits: below what the CPU has pushed lie an error code,
 * 0 where it pushes none, and the vector. trap_entry goes on.
 */
#define HAS_ERROR_CODE 0x60227d00		/* bit n: vector n pushes one */

	.text
	.globl	vector_stubs
	.balign 16
vector_stubs:
	vector = 0
	.rept	256
	.balign	16				/* STUB_BYTES */
	.if	vector >= 32
	push	$0
	.elseif	((HAS_ERROR_CODE >> vector) & 1) == 0
	push	$0
	.endif
	push	$vector
	jmp	trap_entry
	vector = vector + 1
	.endr

	.section .note.GNU-stack, "", @progbits
