# SPDX-License-Identifier: MIT OR GPL-2.0-only
# The 32-bit entry of a kernel that is stored uncompressed: flat_kernel.py puts it in front of the image, with page tables
# that map the first 4 GiB to themselves. From there to the 64-bit entry, as the boot protocol describes both.
# ORIGIN: where this is loaded. TABLES: the page tables. ENTRY: the kernel. All physical.
        .code32
        cli
        lgdt    ORIGIN + gdt_pointer
        movl    $TABLES, %eax
        movl    %eax, %cr3
        movl    $0x20, %eax             # CR4.PAE
        movl    %eax, %cr4
        movl    $0xc0000080, %ecx       # EFER.LME
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80000001, %eax       # CR0.PG, CR0.PE
        movl    %eax, %cr0
        ljmp    $0x10, $ORIGIN + entry64

        .code64
entry64:
        movl    %esi, %esi              # The loader's parameters are below 4 GiB.
        movl    $ENTRY, %eax
        jmp     *%rax

        .balign 8
gdt:    .quad   0, 0
        .quad   0x00af9a000000ffff      # 0x10, code, as the protocol wants it
        .quad   0x00cf92000000ffff      # 0x18, data
gdt_pointer:
        .word   . - gdt - 1
        .long   ORIGIN + gdt
