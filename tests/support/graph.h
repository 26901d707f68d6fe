/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The tables of a VM as they are, drawn: NAME.dot, and NAME by graphviz. A box for each table page, with the leaves in it; an
 * arrow for each entry that leads to a table; and which vCPUs run on which root.
 */
#ifndef TESTS_SUPPORT_GRAPH_H
#define TESTS_SUPPORT_GRAPH_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmmu/host.h>
#include "engine/shadow.h"
#include "format/spte.h"

#define GRAPH_LEAVES 12		/* of one page; what more there are is counted */

static inline void graph_leaf(FILE *f, const struct vmmu_page *page, unsigned int i, const struct vmmu_spte_format *fmt)
{
	uint64_t spte = page->table[i];
	uint64_t gfn = page->shadow ? leaf_gfn(page, i) : page->gfn + i * vmmu_level_frames(page->role.level);

	if (!spte_is_present(spte))
		fprintf(f, "%u: no memory\\l", i);
	else
		fprintf(f, "%u: frame %llx -> %llx %s%s%s%s\\l", i, (unsigned long long)gfn,
			(unsigned long long)spte_pfn(fmt, spte), spte_is_writable(spte) ? "W" : "-",
			spte_is_executable(fmt, spte) ? "X" : "-", spte_is_accessed(fmt, spte) ? "A" : "-",
			spte_is_dirty(fmt, spte) ? "D" : "-");
}

/* A page that was drawn already is not drawn again: shadow pages have many parents. */
static inline void graph_page(FILE *f, const struct machine_vm *m, const struct vmmu_page *page)
{
	unsigned int leaves = 0;

	fprintf(f, "t%p [shape=box,%s label=\"%s%s, level %d, %s %llx%s%s%s\\l", (void *)page->table,
		page->invalid ? "style=dashed," : "", page->shadow ? "shadow " : "",
		vmmu_role_is_direct(page->role) ? "direct" : vmmu_format_name((enum vmmu_format)page->role.format),
		(int)page->role.level, page->shadow && shadow_mirrors(page) ? "mirrors" : "from", (unsigned long long)page->gfn,
		page->role.space ? ", SMM" : "", page->shadow && page->s.unsync ? ", UNSYNC" : "", page->invalid ? ", INVALID" : "");
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		if (page->table[i] && !spte_is_table(page->table[i], page->role.level) && leaves++ < GRAPH_LEAVES)
			graph_leaf(f, page, i, &m->fmt);
	if (leaves > GRAPH_LEAVES)
		fprintf(f, "and %u more\\l", leaves - GRAPH_LEAVES);
	fprintf(f, "\"];\n");
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		if (spte_is_table(page->table[i], page->role.level))
			fprintf(f, "t%p -> t%p [label=\"%u%s\"];\n", (void *)page->table,
				machine_table_at(spte_address(&m->fmt, page->table[i])), i,
				page->shadow && page->s.unsync_below[i / 64] >> (i % 64) & 1 ? " unsync" : "");
}

static inline void graph_direct(FILE *f, const struct machine_vm *m, const struct vmmu_page *page)
{
	graph_page(f, m, page);
	for (unsigned int i = 0; i < VMMU_TABLE_ENTRIES; i++)
		if (spte_is_table(page->table[i], page->role.level))
			graph_direct(f, m, machine_table_page(machine_table_at(spte_address(&m->fmt, page->table[i]))));
}

static inline void graph_vcpus(FILE *f, const struct machine_vm *m)
{
	for (unsigned int n = 0; n < m->vcpus; n++) {
		struct vmmu_context *x = m->vcpu[n]->v.current_context;

		fprintf(f, "vcpu%u [shape=ellipse,label=\"vCPU %u\"];\n", n, n);
		if (x->root.page)
			fprintf(f, "vcpu%u -> t%p;\n", n, (void *)x->root.page->table);
		for (unsigned int i = 0; i < x->cached; i++)
			fprintf(f, "vcpu%u -> t%p [style=dotted];\n", n, (void *)x->cache[i].page->table);
	}
}

/* Context: nothing else runs. Locks that a failure left taken do not matter: nothing is changed. */
static inline void graph_write(const struct machine_vm *m, const char *name)
{
	char dot[512], command[1200];
	FILE *f;

	snprintf(dot, sizeof(dot), "%s.dot", name);
	f = fopen(dot, "w");
	if (!f) {
		fprintf(stderr, "%s cannot be written\n", dot);
		return;
	}
	fprintf(f, "digraph tables {\nrankdir=LR; node [fontname=monospace,fontsize=9]; edge [fontsize=8];\n");
	graph_vcpus(f, m);
	for (const struct vmmu_list *node = m->vm.roots.next; node != &m->vm.roots; node = node->next)
		graph_direct(f, m, CONTAINER_OF(node, struct vmmu_page, link));
	for (const struct vmmu_list *node = m->vm.shadows.next; node != &m->vm.shadows; node = node->next)
		graph_page(f, m, CONTAINER_OF(node, struct vmmu_page, s.all));
	fprintf(f, "}\n");
	fclose(f);
	snprintf(command, sizeof(command), "dot -Tsvg -o '%s' '%s'", name, dot);
	if (system(command))
		fprintf(stderr, "dot did not draw %s: is graphviz installed?\n", dot);
	else
		fprintf(stderr, "%s shows the tables\n", name);
}

#endif
