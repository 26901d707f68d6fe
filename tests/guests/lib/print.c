// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* Output, a byte an OUT: nothing of it depends on how the kernel's memory is mapped beyond its own image. */
#include "cpu.h"
#include "print.h"

enum { PORT_CONSOLE = 0xe9, PORT_EXIT = 0xf4 };

struct sink {
	char *at, *end;			/* NULL: the console */
};

static int console_lock;

static void put(struct sink *sink, char c)
{
	if (!sink->at)
		outb(PORT_CONSOLE, c);
	else if (sink->at < sink->end)
		*sink->at++ = c;
}

/* Divides in 32-bit steps: a 32-bit kernel has no 64-bit division. */
static u32 divide(u64 *value, u32 by)
{
	u32 high = *value >> 32, low = *value, rest = high % by;

	high /= by;
	__asm__("divl %2" : "+a"(low), "+d"(rest) : "r"(by));
	*value = (u64)high << 32 | low;
	return rest;
}

static void put_number(struct sink *sink, u64 value, bool negative, u32 base, int width, char pad, bool left)
{
	char digits[24];
	int n = 0;

	do {
		digits[n++] = "0123456789abcdef"[divide(&value, base)];
	} while (value);
	if (negative)
		digits[n++] = '-';
	for (int i = n; !left && i < width; i++)
		put(sink, pad);
	for (int i = n; i; i--)
		put(sink, digits[i - 1]);
	for (int i = n; left && i < width; i++)
		put(sink, ' ');
}

static void put_text(struct sink *sink, const char *text, int width, bool left)
{
	int length = strlen(text);

	for (int i = length; !left && i < width; i++)
		put(sink, ' ');
	while (*text)
		put(sink, *text++);
	for (int i = length; left && i < width; i++)
		put(sink, ' ');
}

static u64 next_number(va_list *list, int longs, bool is_signed)
{
	if (longs == 2)
		return va_arg(*list, u64);
	if (longs == 1)
		return is_signed ? (u64)va_arg(*list, long) : va_arg(*list, unsigned long);
	return is_signed ? (u64)va_arg(*list, int) : va_arg(*list, unsigned int);
}

/* One conversion; format points behind its %. Returns where to go on. */
static const char *put_conversion(struct sink *sink, const char *format, va_list *list)
{
	bool left = false;
	int width = 0, longs = 0;
	char pad = ' ';
	u64 number;

	for (; *format == '-' || *format == '0'; format++) {
		left |= *format == '-';
		pad = *format == '0' ? '0' : pad;
	}
	for (; *format >= '0' && *format <= '9'; format++)
		width = width * 10 + *format - '0';
	for (; *format == 'l'; format++)
		longs++;
	switch (*format) {
	case 'd':
		number = next_number(list, longs, true);
		put_number(sink, (s64)number < 0 ? -number : number, (s64)number < 0, 10, width, pad, left);
		break;
	case 'u':
		put_number(sink, next_number(list, longs, false), false, 10, width, pad, left);
		break;
	case 'x':
		put_number(sink, next_number(list, longs, false), false, 16, width, pad, left);
		break;
	case 'p':
		put_number(sink, (uptr)va_arg(*list, void *), false, 16, width, pad, left);
		break;
	case 'c':
		put(sink, va_arg(*list, int));
		break;
	case 's':
		put_text(sink, va_arg(*list, const char *), width, left);
		break;
	default:
		put(sink, *format);
	}
	return format + 1;
}

static void put_format(struct sink *sink, const char *format, va_list list)
{
	va_list copy;

	va_copy(copy, list);
	while (*format) {
		if (*format != '%')
			put(sink, *format++);
		else
			format = put_conversion(sink, format + 1, &copy);
	}
	va_end(copy);
}

void vprint(const char *format, va_list list)
{
	struct sink sink = { NULL, NULL };

	while (__atomic_exchange_n(&console_lock, 1, __ATOMIC_ACQUIRE))
		pause();
	put_format(&sink, format, list);
	__atomic_store_n(&console_lock, 0, __ATOMIC_RELEASE);
}

void print(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprint(format, list);
	va_end(list);
}

void vprint_to(char *buffer, size_t size, const char *format, va_list list)
{
	struct sink sink = { buffer, buffer + size - 1 };

	put_format(&sink, format, list);
	*sink.at = 0;
}

void print_to(char *buffer, size_t size, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vprint_to(buffer, size, format, list);
	va_end(list);
}

void guest_exit(int status)
{
	for (;;) {
		outl(PORT_EXIT, status);
		__asm__ volatile("cli; hlt");
	}
}

void guest_panic(const char *format, ...)
{
	va_list list;

	__atomic_store_n(&console_lock, 0, __ATOMIC_RELEASE);
	print("panic: ");
	va_start(list, format);
	vprint(format, list);
	va_end(list);
	print("\n");
	guest_exit(1);
}

void *memset(void *to, int byte, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(bytes) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t bytes)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(bytes) :: "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	u8 *at = to;
	const u8 *source = from;

	if (at <= source)
		return memcpy(to, from, bytes);
	while (bytes--)
		at[bytes] = source[bytes];
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const u8 *x = a, *y = b;

	for (; bytes; bytes--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		continue;
	return (u8)*a - (u8)*b;
}

size_t strlen(const char *text)
{
	size_t length = 0;

	while (text[length])
		length++;
	return length;
}
