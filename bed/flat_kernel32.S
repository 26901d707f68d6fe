# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The 32-bit entry of a 32-bit kernel that is stored uncompressed: flat_kernel.py puts it in front of the image. QEMU loads
# that where it likes: the kernel is moved to the address it is made for, from its end on, since it may overlap itself.
# ORIGIN: where this is loaded. KERNEL, BYTES: the kernel behind it. ENTRY: where it belongs, and begins. All physical.
        .code32
        cli
        movl    %esi, %ebx              # the loader's parameters
        movl    $KERNEL + BYTES - 4, %esi
        movl    $ENTRY + BYTES - 4, %edi
        movl    $BYTES / 4, %ecx
        std
        rep movsl
        cld
        movl    %ebx, %esi
        movl    $ENTRY, %eax
        jmp     *%eax
