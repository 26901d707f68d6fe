// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * The kernel and who runs it take turns: a line "sample NAME" asks for the counters of the host's KVM, and a byte on
 * the first serial port says that they have been read. Without the word "samples" on the command line nothing is asked.
 */
#pragma once

void sample(const char *format, ...) __attribute__((format(printf, 1, 2)));
