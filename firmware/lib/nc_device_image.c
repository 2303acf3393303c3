#include "nc_device_image.h"

#include "nc_bytes.h"
#include "nc_run.h"

uint8_t nc_device_check_slot(const struct nc_device *device, uint32_t slot,
                             struct nc_image *image)
{
    if (slot >= NC_N_SLOTS) {
        return NC_DEVICE_ERROR_BAD_SLOT;
    }
    return nc_image_check(&device->hal, &device->config.limits,
                          nc_store_base(&device->store, slot), device->store.slot_bytes, image);
}

/* Puts a checked image into the NPU; whatever was there is gone. */
static uint8_t load(struct nc_device *device, uint32_t slot, const struct nc_image *image)
{
    device->loaded_slot = NC_NO_SLOT;
    const uint8_t error = nc_run_load(&device->hal, image);
    if (error == NC_DEVICE_ERROR_OK) {
        device->image = *image;
        device->loaded_slot = (uint8_t)slot;
    }
    return error;
}

/* Loads the image of a commit if the slot holds the very one. A device without an NPU keeps it. */
static uint8_t load_committed(struct nc_device *device, const struct nc_commit *commit)
{
    struct nc_image image;
    uint8_t error = nc_device_check_slot(device, commit->slot, &image);
    if (error == NC_DEVICE_ERROR_OK &&
        !nc_equal(image.sha256, commit->sha256, NC_SHA256_BYTES)) {
        error = NC_DEVICE_ERROR_IMAGE_DAMAGED;
    }
    return error == NC_DEVICE_ERROR_OK ? load(device, commit->slot, &image) : error;
}

void nc_device_boot(struct nc_device *device)
{
    struct nc_commit commits[NC_SLOT_TABLE_SECTORS];
    uint32_t n_commits = 0;
    const uint8_t repaired = nc_slots_recover(&device->hal, commits, &n_commits);
    if (repaired != NC_DEVICE_ERROR_OK) {
        nc_log_add(&device->log, "slot table: error %\n", repaired);
    }
    device->store.commit = commits[0];
    for (uint32_t i = 0; i < n_commits && commits[i].slot != NC_NO_SLOT; i++) {
        const uint8_t error = load_committed(device, &commits[i]);
        if (error == NC_DEVICE_ERROR_OK || error == NC_DEVICE_ERROR_NO_NPU) {
            device->store.commit = commits[i];
            nc_log_add(&device->log,
                       error == NC_DEVICE_ERROR_OK ? "slot % loaded" : "slot % sound, no NPU",
                       commits[i].slot);
            nc_log_add(&device->log, ", counter %\n", commits[i].counter);
            return;
        }
        nc_log_add(&device->log, "slot % is not loaded", commits[i].slot);
        nc_log_add(&device->log, ": error %\n", error);
    }
}

/* Makes a slot that passed its known-answer test the active one, unless it is with this image. */
static uint8_t commit(struct nc_device *device, uint32_t slot, const struct nc_image *image)
{
    struct nc_commit *active = &device->store.commit;
    struct nc_commit next = {.image_bytes = image->total_bytes, .slot = (uint8_t)slot};
    if (active->slot == slot && nc_equal(active->sha256, image->sha256, NC_SHA256_BYTES)) {
        return NC_DEVICE_ERROR_OK;
    }
    nc_copy(next.sha256, image->sha256, NC_SHA256_BYTES);
    const uint8_t error = nc_slots_commit(&device->hal, active, &next);
    if (error == NC_DEVICE_ERROR_OK) {
        *active = next;
        nc_log_add(&device->log, "slot % committed", slot);
        nc_log_add(&device->log, ", counter %\n", next.counter);
    }
    return error;
}

uint8_t nc_device_activate(struct nc_device *device, uint32_t slot)
{
    const uint8_t slot_before = device->loaded_slot;
    struct nc_image image;
    uint8_t error = nc_device_check_slot(device, slot, &image);
    if (error != NC_DEVICE_ERROR_OK) {
        return error;
    }
    error = load(device, slot, &image);
    if (error == NC_DEVICE_ERROR_OK) {
        error = nc_run_known_answer(&device->hal, &image);
    }
    if (error == NC_DEVICE_ERROR_OK) {
        error = commit(device, slot, &image);
    }
    if (error != NC_DEVICE_ERROR_OK) {
        device->loaded_slot = NC_NO_SLOT;
        if (slot_before != NC_NO_SLOT) {
            (void)nc_device_load_slot(device, slot_before);
        }
    }
    return error;
}

uint8_t nc_device_load_slot(struct nc_device *device, uint32_t slot)
{
    struct nc_image image;
    const uint32_t chosen = slot == NC_NO_SLOT ? device->store.commit.slot : slot;
    if (chosen == NC_NO_SLOT) {
        return NC_DEVICE_ERROR_NO_IMAGE;
    }
    const uint8_t error = nc_device_check_slot(device, chosen, &image);
    return error == NC_DEVICE_ERROR_OK ? load(device, chosen, &image) : error;
}
