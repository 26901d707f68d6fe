/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Who may do what to which page, as data: Intel SDM vol. 3 "Determination of Access Rights" and "Protection
 * Keys". A rule is a list of alternatives separated by '|', each a list of conditions that all must hold:
 *   wp nx smep smap	the control bit is 1 (nx: EFER.NXE in a format with 8-byte entries)
 *   w x		every entry used has R/W = 1; has XD = 0
 *   ac			EFLAGS.AC is 1 and the access is explicit
 *   ad wd		the bit of the page's key in PKRU is 1
 *   !c			c does not hold
 *   yes no		always, never
 */
#ifndef TABLES_ACCESS_RIGHTS_H
#define TABLES_ACCESS_RIGHTS_H

struct access_rule {
	char mode;		/* of the access: S supervisor, U user */
	char page;		/* address: S if any entry used has U/S = 0, else U */
	char what;		/* r data read, w data write, f instruction fetch */
	const char *allowed;
};

static const struct access_rule access_rules[] = {
	/* "For supervisor-mode accesses" */
	{ 'S', 'S', 'r', "yes" },
	{ 'S', 'U', 'r', "!smap | ac" },
	{ 'S', 'S', 'w', "!wp | w" },
	{ 'S', 'U', 'w', "!wp !smap | !wp ac | wp w !smap | wp w ac" },
	{ 'S', 'S', 'f', "!nx | x" },
	{ 'S', 'U', 'f', "!smep !nx | !smep nx x" },
	/* "For user-mode accesses" */
	{ 'U', 'S', 'r', "no" },
	{ 'U', 'U', 'r', "yes" },
	{ 'U', 'S', 'w', "no" },
	{ 'U', 'U', 'w', "w" },
	{ 'U', 'S', 'f', "no" },
	{ 'U', 'U', 'f', "!nx | x" },
};

/* What the key of the page allows where protection keys are on. */
static const struct access_rule key_rules[] = {
	{ 'S', 'S', 'r', "yes" },
	{ 'S', 'S', 'w', "yes" },
	{ 'S', 'S', 'f', "yes" },
	{ 'U', 'S', 'r', "yes" },
	{ 'U', 'S', 'w', "yes" },
	{ 'U', 'S', 'f', "yes" },
	{ 'S', 'U', 'r', "!ad" },
	{ 'S', 'U', 'w', "!ad !wd | !ad !wp" },
	{ 'S', 'U', 'f', "yes" },
	{ 'U', 'U', 'r', "!ad" },
	{ 'U', 'U', 'w', "!ad !wd" },
	{ 'U', 'U', 'f', "yes" },
};

#endif
