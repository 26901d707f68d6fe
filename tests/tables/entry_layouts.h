/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Layout of each kind of guest entry, read off the figures and the "Format of ..." tables of Intel SDM
 * vol. 3 "Paging" and "The Extended Page Table Mechanism (EPT)", and of AMD APM vol. 2 "Page Translation and
 * Protection". One character a bit, bit 63 first (PT32: bit 31), blanks between groups do not count:
 *   .  has a meaning that any value keeps, or is ignored
 *   0  reserved
 *   1  bit 7 as this kind of entry has it: set
 *   A  address: reserved from MAXPHYADDR up
 *   N  execute-disable: reserved with NXE = 0
 *   G  bit 7, set: reserved without 1-GByte pages
 *   B  bit 7, set: reserved where the largest EPT page is smaller
 *   M  must be zero on AMD, ignored by Intel
 *   H  high address of a 4 MiB page: bit 13 is address bit 32; reserved from MAXPHYADDR up, all without PSE-36
 * Bit 7 of a table entry is shown as "." where a set bit makes another kind of entry of it.
 */
#ifndef TABLES_ENTRY_LAYOUTS_H
#define TABLES_ENTRY_LAYOUTS_H

struct entry_layout {
	const char *name;
	int level;
	char bit7;		/* 0: the entry has bit 7 clear; 1: set; *: either */
	const char *bits;
};

#define ADDRESS_40 "AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAAA"
#define ADDRESS_31_2M "AAAAAAAA AAAAAAAA AAAAAAAA AAAAAAA"	/* bits 51:21 */
#define ADDRESS_22_1G "AAAAAAAA AAAAAAAA AAAAAA"		/* bits 51:30 */

static const struct entry_layout layouts_pt32[] = {
	{ "PTE",         1, '*', ".... .... .... .... .... .... .... ...." },
	{ "PDE (table)", 2, '0', ".... .... .... .... .... .... .... ...." },
	{ "PDE (4 MiB)", 2, '1', ".... .... ..0H HHHH HHH. .... .... ...." },
};

/* CR4.PSE = 0: bit 7 means nothing. */
static const struct entry_layout layouts_pt32_no_pse[] = {
	{ "PTE",         1, '*', ".... .... .... .... .... .... .... ...." },
	{ "PDE",         2, '*', ".... .... .... .... .... .... .... ...." },
};

static const struct entry_layout layouts_pae[] = {
	{ "PTE",         1, '*', "N 00000000000 " ADDRESS_40    " ............" },
	{ "PDE (table)", 2, '0', "N 00000000000 " ADDRESS_40    " ............" },
	{ "PDE (2 MiB)", 2, '1', "N 00000000000 " ADDRESS_31_2M " 00000000. ............" },
	{ "PDPTE",       3, '0', "0 00000000000 " ADDRESS_40    " ...0 000. .00." },
	{ "PDPTE (PS)",  3, '1', "0 00000000000 " ADDRESS_40    " ...0 000. .00." },
};

static const struct entry_layout layouts_pt64[] = {
	{ "PTE",           1, '*', "N ........... " ADDRESS_40    " ............" },
	{ "PDE (table)",   2, '0', "N ........... " ADDRESS_40    " ............" },
	{ "PDE (2 MiB)",   2, '1', "N ........... " ADDRESS_31_2M " 00000000. ............" },
	{ "PDPTE (table)", 3, '0', "N ........... " ADDRESS_40    " ............" },
	{ "PDPTE (1 GiB)", 3, '1', "N ........... " ADDRESS_22_1G " 00000000 00000000 0. .... G......." },
	{ "PML4E",         4, '0', "N ........... " ADDRESS_40    " ...M 0... ...." },
	{ "PML4E (PS)",    4, '1', "N ........... " ADDRESS_40    " ...M 0... ...." },
	{ "PML5E",         5, '0', "N ........... " ADDRESS_40    " ...M 0... ...." },
	{ "PML5E (PS)",    5, '1', "N ........... " ADDRESS_40    " ...M 0... ...." },
};

/* Rights and memory type, bits 5:0, have rules of their own: see ept_low_is_legal(). */
static const struct entry_layout layouts_ept[] = {
	{ "PTE",           1, '*', "............ " ADDRESS_40    " .... .... ...." },
	{ "PDE (table)",   2, '0', "............ " ADDRESS_40    " .... .000 0..." },
	{ "PDE (2 MiB)",   2, '1', "............ " ADDRESS_31_2M " 00000000 0 .... B... ...." },
	{ "PDPTE (table)", 3, '0', "............ " ADDRESS_40    " .... .000 0..." },
	{ "PDPTE (1 GiB)", 3, '1', "............ " ADDRESS_22_1G " 00000000 00000000 00 .... B... ...." },
	{ "PML4E",         4, '0', "............ " ADDRESS_40    " .... 0000 0..." },
	{ "PML4E (PS)",    4, '1', "............ " ADDRESS_40    " .... 0000 0..." },
	{ "PML5E",         5, '0', "............ " ADDRESS_40    " .... 0000 0..." },
	{ "PML5E (PS)",    5, '1', "............ " ADDRESS_40    " .... 0000 0..." },
};

/* Rights an EPT entry may have, as bits 2:0; the last only where execute-only translations are supported. */
static const unsigned char ept_legal_rights[] = { 1 /* r */, 3 /* rw */, 5 /* rx */, 7 /* rwx */ };
static const unsigned char ept_exec_only = 4;
/* Memory types a leaf may have, bits 5:3: uncacheable, write combining, through, protected, back. */
static const unsigned char ept_legal_types[] = { 0, 1, 4, 5, 6 };

#endif
