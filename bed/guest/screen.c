// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * screen draw N    change some of the frame buffer, each time other places and other colours
 * screen show      write all of it to standard output as red, green, blue bytes, as in a PPM file
 */
#include <fcntl.h>
#include <linux/fb.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

static struct fb_var_screeninfo shape;
static struct fb_fix_screeninfo layout;
static volatile uint32_t *pixels;

static int open_screen(void)
{
	int fd = open("/dev/fb0", O_RDWR);

	if (fd < 0 || ioctl(fd, FBIOGET_VSCREENINFO, &shape) || ioctl(fd, FBIOGET_FSCREENINFO, &layout))
		return -1;
	if (shape.bits_per_pixel != 32)
		return -1;
	pixels = mmap(NULL, layout.smem_len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return pixels == MAP_FAILED ? -1 : 0;
}

static volatile uint32_t *pixel(unsigned int x, unsigned int y)
{
	return pixels + y * (layout.line_length / 4) + x;
}

/* A first frame all over, then a few short strokes: most pages stay clean. */
static void draw(unsigned int frame)
{
	unsigned int strokes = frame ? 7 : shape.yres;

	srand(frame);
	for (unsigned int i = 0; i < strokes; i++) {
		unsigned int y = frame ? rand() % shape.yres : i;
		unsigned int width = frame ? 20 : shape.xres;
		unsigned int x = rand() % (shape.xres - width + 1);
		uint32_t colour = rand();

		for (unsigned int n = 0; n < width; n++)
			*pixel(x + n, y) = colour & 0xffffff;
	}
}

static void show(void)
{
	for (unsigned int y = 0; y < shape.yres; y++)
		for (unsigned int x = 0; x < shape.xres; x++) {
			uint32_t colour = *pixel(x, y);

			putchar(colour >> 16 & 0xff);
			putchar(colour >> 8 & 0xff);
			putchar(colour & 0xff);
		}
}

int main(int argc, char **argv)
{
	if (argc < 2 || open_screen()) {
		fprintf(stderr, "screen: no frame buffer of 32 bits a pixel\n");
		return 1;
	}
	if (!strcmp(argv[1], "draw") && argc == 3)
		draw(atoi(argv[2]));
	else
		show();
	return 0;
}
