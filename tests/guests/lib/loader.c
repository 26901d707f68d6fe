// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* What the multiboot loader left, and QEMU's configuration port. */
#include "boot.h"
#include "cpu.h"
#include "print.h"

enum { INFO_COMMAND_LINE = 1 << 2, PORT_SELECT = 0x510, PORT_DATA = 0x511, KEY_CPUS = 5 };

struct boot_information {
	u32 flags, memory_low_kib, memory_high_kib, device, command_line;
};

extern u32 boot_info;
extern char boot_pml4[];

static char command_line[256];
static uptr memory_end;

/* The loader's words lie behind the image, where the first pages to be allocated are. */
void boot_copy(void)
{
	const struct boot_information *information = (void *)(uptr)boot_info;
	const char *at = (void *)(uptr)information->command_line;

	if (information->flags & INFO_COMMAND_LINE) {
		/* The kernel's name comes first. */
		while (*at && *at != ' ')
			at++;
		while (*at == ' ')
			at++;
		print_to(command_line, sizeof(command_line), "%s", at);
	}
	memory_end = (uptr)0x100000 + ((uptr)information->memory_high_kib << 10);
}

const char *boot_command_line(void)
{
	return command_line;
}

uptr boot_memory_end(void)
{
	return memory_end;
}

int boot_cpus(void)
{
	int low;

	outw(PORT_SELECT, KEY_CPUS);
	low = inb(PORT_DATA);
	return low | inb(PORT_DATA) << 8;
}

#ifdef __x86_64__
uptr boot_root(void)
{
	return (uptr)boot_pml4;
}
#endif
