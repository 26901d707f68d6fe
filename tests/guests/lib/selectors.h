// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Selectors of boot.S and boot32.S; read by assembler, too. */
#define SEL_CODE64	0x08
#define SEL_DATA	0x10
#define SEL_CODE32	0x18
#define SEL_CODE16	0x20
#define SEL_DATA16	0x28
#define SEL_USER_DATA	0x33
#define SEL_USER_CODE64	0x3b
#define SEL_TSS		0x40			/* + 16 * CPU */
