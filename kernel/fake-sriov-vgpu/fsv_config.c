// SPDX-License-Identifier: GPL-2.0
/*
 * fake-sriov-vgpu: the model of config space
 */

/**
 * DOC: the model
 *
 * A register is bytes of three kinds, by bit: read-only, writable, and cleared
 * by writing one. A reset writes all three arrays anew from the layout. Few
 * registers do more than store: those of SR-IOV, which have rules, and Initiate
 * Function Level Reset.
 *
 * Nothing here locks. The bus holds its config_lock around each call.
 */

#ifdef __KERNEL__
#include <linux/string.h>
#endif
#include <linux/pci_regs.h>

#include "fsv_config.h"

/* Where the capabilities are; arbitrary, as far as the specification cares. */
#define FSV_PM 0x60
#define FSV_PCIE 0x68
#define FSV_MSIX 0xb0
#define FSV_SRIOV PCI_CFG_SPACE_SIZE

/* Bits of Command of a function that is no VF. */
#define FSV_COMMAND_WRITABLE                                             \
	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
	 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)

/*
 * NVIDIA GPUs have a second function for sound, which Linux enables by this bit
 * (quirk_nvidia_hda). It is said to be on, so that the quirk has nothing to do.
 */
#define FSV_NVIDIA_HDA 0x488
#define FSV_NVIDIA_HDA_ON (1u << 25)

static void fsv_put(u8 *bytes, unsigned int offset, unsigned int size,
		    u32 value)
{
	unsigned int i;

	for (i = 0; i < size; i++)
		bytes[offset + i] = value >> (8 * i);
}

static u32 fsv_get(const u8 *bytes, unsigned int offset, unsigned int size)
{
	u32 value = 0;
	unsigned int i;

	for (i = 0; i < size; i++)
		value |= (u32)bytes[offset + i] << (8 * i);
	return value;
}

/* A register with its value after reset and the bits that can be written. */
static void fsv_set(struct fsv_config *config, unsigned int offset,
		    unsigned int size, u32 value, u32 writable)
{
	fsv_put(config->value, offset, size, value);
	fsv_put(config->writable, offset, size, writable);
}

/* A 64-bit BAR: the bits below its size read as flags, so sizing works. */
static void fsv_set_bar(struct fsv_config *config, unsigned int offset,
			const struct fsv_bar *bar, u32 flags)
{
	const u64 mask = ~(bar->size - 1);

	if (!bar->size)
		return;
	fsv_set(config, offset, 4,
		(u32)bar->address | flags | PCI_BASE_ADDRESS_MEM_TYPE_64,
		(u32)mask);
	fsv_set(config, offset + 4, 4, (u32)(bar->address >> 32),
		(u32)(mask >> 32));
}

static void fsv_set_bars(struct fsv_config *config, unsigned int offset,
			 const struct fsv_bar *bars)
{
	unsigned int i;

	for (i = 0; i < FSV_BARS; i++)
		fsv_set_bar(config, offset + 8 * i, &bars[i],
			    i == 1 ? PCI_BASE_ADDRESS_MEM_PREFETCH : 0);
}

/* PCI 6.1, PCIe 7.5.1. */
static void fsv_set_header(struct fsv_config *config)
{
	const struct fsv_layout *layout = &config->layout;

	fsv_set(config, PCI_VENDOR_ID, 2,
		layout->is_vf ? 0xffff : layout->vendor, 0);
	fsv_set(config, PCI_DEVICE_ID, 2,
		layout->is_vf ? 0xffff : layout->device, 0);
	fsv_set(config, PCI_COMMAND, 2, 0,
		layout->is_vf ? PCI_COMMAND_MASTER : FSV_COMMAND_WRITABLE);
	fsv_set(config, PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0);
	fsv_set(config, PCI_CLASS_REVISION, 4,
		layout->class_code << 8 | layout->revision, 0);
	fsv_set(config, PCI_CACHE_LINE_SIZE, 1, 0, layout->is_vf ? 0 : 0xff);
	/* Other functions of the slot may come and go: always say that. */
	fsv_set(config, PCI_HEADER_TYPE, 1, layout->is_vf ? 0 : 0x80, 0);
	if (!layout->is_vf)
		fsv_set_bars(config, PCI_BASE_ADDRESS_0, layout->bars);
	fsv_set(config, PCI_SUBSYSTEM_VENDOR_ID, 2, layout->subsystem_vendor,
		0);
	fsv_set(config, PCI_SUBSYSTEM_ID, 2, layout->subsystem_device, 0);
	fsv_set(config, PCI_CAPABILITY_LIST, 1,
		layout->is_vf ? FSV_PCIE : FSV_PM, 0);
	fsv_set(config, PCI_INTERRUPT_LINE, 1, 0, layout->is_vf ? 0 : 0xff);
	if (layout->vendor == FSV_NVIDIA &&
	    layout->class_code >> 16 == 0x03 /* display */)
		fsv_set(config, FSV_NVIDIA_HDA, 4, FSV_NVIDIA_HDA_ON, 0);
}

/* PCIe 7.5.2: D0 and D3hot, nothing lost between them. */
static void fsv_set_pm(struct fsv_config *config)
{
	fsv_set(config, FSV_PM, 2, PCI_CAP_ID_PM | FSV_PCIE << 8, 0);
	fsv_set(config, FSV_PM + PCI_PM_PMC, 2, 3 /* version */, 0);
	fsv_set(config, FSV_PM + PCI_PM_CTRL, 2, PCI_PM_CTRL_NO_SOFT_RESET,
		PCI_PM_CTRL_STATE_MASK);
}

/* PCIe 7.5.3: version 2, an endpoint whose link is up at its best. */
static void fsv_set_pcie(struct fsv_config *config)
{
	const struct fsv_layout *layout = &config->layout;
	const u32 link = layout->link_speed | (u32)layout->link_width << 4;

	fsv_set(config, FSV_PCIE, 2,
		PCI_CAP_ID_EXP | (layout->msix_vectors ? FSV_MSIX : 0) << 8, 0);
	fsv_set(config, FSV_PCIE + PCI_EXP_FLAGS, 2,
		2 | PCI_EXP_TYPE_ENDPOINT << 4, 0);
	fsv_set(config, FSV_PCIE + PCI_EXP_DEVCAP, 4,
		1 /* payload 256 */ | PCI_EXP_DEVCAP_EXT_TAG |
			PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR,
		0);
	/* Initiate FLR acts and reads as zero; of a VF, little else exists. */
	if (!layout->is_vf)
		fsv_set(config, FSV_PCIE + PCI_EXP_DEVCTL, 2,
			PCI_EXP_DEVCTL_EXT_TAG | PCI_EXP_DEVCTL_RELAX_EN |
				PCI_EXP_DEVCTL_NOSNOOP_EN |
				PCI_EXP_DEVCTL_READRQ_512B,
			0x7fff);
	fsv_put(config->clearable, FSV_PCIE + PCI_EXP_DEVSTA, 2, 0xf);
	fsv_set(config, FSV_PCIE + PCI_EXP_LNKCAP, 4, link, 0);
	if (layout->is_vf)
		return; /* Link status of VFs reads as zero (PCIe 9.3.5). */
	fsv_set(config, FSV_PCIE + PCI_EXP_LNKCTL, 2, 0,
		PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_RCB | PCI_EXP_LNKCTL_CCC |
			PCI_EXP_LNKCTL_ES);
	fsv_set(config, FSV_PCIE + PCI_EXP_LNKSTA, 2, link, 0);
	fsv_set(config, FSV_PCIE + PCI_EXP_LNKCAP2, 4,
		((1u << layout->link_speed) - 1) << 1, 0);
	fsv_set(config, FSV_PCIE + PCI_EXP_LNKCTL2, 2, layout->link_speed,
		PCI_EXP_LNKCTL2_TLS);
}

/* PCIe 7.7.2. */
static void fsv_set_msix(struct fsv_config *config)
{
	const u32 vectors = config->layout.msix_vectors;

	if (!vectors)
		return;
	fsv_set(config, FSV_MSIX, 2, PCI_CAP_ID_MSIX, 0);
	fsv_set(config, FSV_MSIX + PCI_MSIX_FLAGS, 2, vectors - 1,
		PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL);
	fsv_set(config, FSV_MSIX + PCI_MSIX_TABLE, 4, 2 * FSV_MSIX_BAR, 0);
	fsv_set(config, FSV_MSIX + PCI_MSIX_PBA, 4,
		FSV_MSIX_PBA_OFFSET | 2 * FSV_MSIX_BAR, 0);
}

/* PCIe 9.3.3. */
static void fsv_set_sriov(struct fsv_config *config)
{
	const struct fsv_layout *layout = &config->layout;

	if (!layout->total_vfs)
		return;
	fsv_set(config, FSV_SRIOV, 4, PCI_EXT_CAP_ID_SRIOV | 1 << 16, 0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_CTRL, 2, 0,
		PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_INITIAL_VF, 2, layout->total_vfs,
		0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_TOTAL_VF, 2, layout->total_vfs,
		0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_NUM_VF, 2, 0, 0xffff);
	/*
	 * An endpoint has device number 0 in the specification, so a function
	 * number has 8 bits; Linux compares it with device and function.
	 */
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_FUNC_LINK, 1, layout->devfn, 0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_VF_OFFSET, 2, layout->vf_offset,
		0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_VF_STRIDE, 2, 1, 0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_VF_DID, 2, layout->vf_device, 0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_SUP_PGSIZE, 4, layout->page_sizes,
		0);
	fsv_set(config, FSV_SRIOV + PCI_SRIOV_SYS_PGSIZE, 4,
		layout->page_sizes & -layout->page_sizes, 0xffffffff);
	fsv_set_bars(config, FSV_SRIOV + PCI_SRIOV_BAR, layout->vf_bars);
}

/**
 * fsv_config_reset() - give a function the state after a reset
 * @config: its @layout is what the state is made of
 *
 * Context: any; the caller serializes.
 */
void fsv_config_reset(struct fsv_config *config)
{
	memset(config->value, 0, sizeof(config->value));
	memset(config->writable, 0, sizeof(config->writable));
	memset(config->clearable, 0, sizeof(config->clearable));
	fsv_set_header(config);
	fsv_set_pcie(config);
	fsv_set_msix(config);
	if (config->layout.is_vf)
		return;
	fsv_set_pm(config);
	fsv_set_sriov(config);
}

/* May an access of this size start here? */
static int fsv_is_access(unsigned int offset, unsigned int size)
{
	return (size == 1 || size == 2 || size == 4) && !(offset % size) &&
	       offset < FSV_CONFIG_BYTES;
}

/**
 * fsv_config_read() - a read by the processor
 * @config: the function
 * @offset: anything
 * @size: anything
 *
 * Context: any; the caller serializes.
 * Return: the value; all ones for an access that PCI does not know.
 */
u32 fsv_config_read(const struct fsv_config *config, unsigned int offset,
		    unsigned int size)
{
	if (!fsv_is_access(offset, size))
		return 0xffffffff;
	return fsv_get(config->value, offset, size);
}

/**
 * fsv_config_num_vfs() - how many VFs answer
 * @config: any function
 *
 * Context: any; the caller serializes.
 * Return: NumVFs if VF Enable is set, otherwise 0; at most TotalVFs.
 */
unsigned int fsv_config_num_vfs(const struct fsv_config *config)
{
	if (!config->layout.total_vfs ||
	    !(fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_CTRL, 2) &
	      PCI_SRIOV_CTRL_VFE))
		return 0;
	return fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_NUM_VF, 2);
}

/*
 * NumVFs is fixed while VFs are enabled and stays within TotalVFs; one of the
 * supported page sizes is chosen at a time. What breaks a rule is ignored.
 */
static void fsv_apply_sriov_rules(struct fsv_config *config, u32 old_num_vfs,
				  u32 old_page_size, int was_enabled)
{
	const struct fsv_layout *layout = &config->layout;
	const u32 num_vfs =
		fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_NUM_VF, 2);
	const u32 page_size =
		fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_SYS_PGSIZE, 4);

	if (was_enabled || num_vfs > layout->total_vfs)
		fsv_put(config->value, FSV_SRIOV + PCI_SRIOV_NUM_VF, 2,
			old_num_vfs);
	if (was_enabled || !(page_size & layout->page_sizes) ||
	    (page_size & (page_size - 1)))
		fsv_put(config->value, FSV_SRIOV + PCI_SRIOV_SYS_PGSIZE, 4,
			old_page_size);
}

/**
 * fsv_config_write() - a write by the processor
 * @config: the function
 * @offset: anything
 * @size: anything; an access that PCI does not know is ignored
 * @value: anything
 *
 * Context: any; the caller serializes.
 * Return: what happened besides, a set of FSV_EVENT_*.
 */
unsigned int fsv_config_write(struct fsv_config *config, unsigned int offset,
			      unsigned int size, u32 value)
{
	const unsigned int devctl = FSV_PCIE + PCI_EXP_DEVCTL;
	const u32 num_vfs =
		fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_NUM_VF, 2);
	const u32 page_size =
		fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_SYS_PGSIZE, 4);
	const u32 control =
		fsv_get(config->value, FSV_SRIOV + PCI_SRIOV_CTRL, 2);
	const unsigned int enabled_vfs = fsv_config_num_vfs(config);
	unsigned int i;

	if (!fsv_is_access(offset, size))
		return 0;
	if (offset <= devctl + 1 && offset + size > devctl + 1 &&
	    (value >> (8 * (devctl + 1 - offset)) & 0xff) & 0x80) {
		fsv_config_reset(config);
		return FSV_EVENT_RESET | (enabled_vfs ? FSV_EVENT_VFS : 0);
	}
	for (i = 0; i < size; i++) {
		const u8 byte = value >> (8 * i);
		u8 *now = &config->value[offset + i];

		*now = (*now & ~config->writable[offset + i]) |
		       (byte & config->writable[offset + i]);
		*now &= ~(byte & config->clearable[offset + i]);
	}
	if (!config->layout.total_vfs)
		return 0;
	fsv_apply_sriov_rules(config, num_vfs, page_size,
			      control & PCI_SRIOV_CTRL_VFE);
	return fsv_config_num_vfs(config) != enabled_vfs ? FSV_EVENT_VFS : 0;
}
