/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the vendor modules offer and this MMU cannot do yet: nested virtualization, and running without nested
 * paging (npt=0, ept=0). Each is switched off here with one message; these files go when both have landed.
 *
 * The switches are static variables of KVM's svm.c and vmx.c, which stay unmodified. So svm.c and vmx.c beside
 * this file are compiled in their place and include them, between this header and two functions of their own
 * that can see the variables. What is put in between is kvm_x86_vendor_init(), the first thing both modules
 * call, and from there hardware_setup(): only after that is it known whether parameters and processor together
 * leave nested paging on.
 */
#ifndef VMMU_KVM_OVERLAY_VENDOR_H
#define VMMU_KVM_OVERLAY_VENDOR_H

#include <linux/kvm_host.h>

/* Clears the variable behind the module parameter "nested" and returns what it was. */
static bool vmmu_clear_nested(void);

/* Returns whether the vendor module is going to use nested paging. */
static bool vmmu_has_nested_paging(void);

static struct kvm_x86_init_ops vmmu_stock_init_ops __initdata;

static int __init vmmu_hardware_setup(void)
{
	int err = vmmu_stock_init_ops.hardware_setup();

	if (err || vmmu_has_nested_paging())
		return err;

	printk(KERN_ERR KBUILD_MODNAME ": vmmu: running without nested paging is not available yet\n");
	vmmu_stock_init_ops.runtime_ops->hardware_unsetup();
	return -EOPNOTSUPP;
}

static int __init vmmu_vendor_init(struct kvm_x86_init_ops *ops)
{
	if (vmmu_clear_nested())
		printk(KERN_INFO KBUILD_MODNAME
		       ": vmmu: nested virtualization is not available yet, nested=1 is ignored\n");

	vmmu_stock_init_ops = *ops;
	ops->hardware_setup = vmmu_hardware_setup;
	return kvm_x86_vendor_init(ops);
}

#define kvm_x86_vendor_init(ops) vmmu_vendor_init(ops)

#endif
