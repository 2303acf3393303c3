#include "file_flash.h"

#include <stdlib.h>
#include <string.h>

#include "../include/generated/norcim_spec.h"

#define HEADER_BYTES 16u
#define PAGES_PER_SECTOR (NC_SECTOR_BYTES / NC_PAGE_BYTES)

static uint32_t size_of(const struct file_flash *flash)
{
    return flash->n_sectors * NC_SECTOR_BYTES;
}

static long data_offset(const struct file_flash *flash)
{
    return (long)(HEADER_BYTES + 4u * flash->n_sectors);
}

static void fill_header(const struct file_flash *flash, uint8_t header[HEADER_BYTES])
{
    const uint32_t words[2] = {NC_SECTOR_BYTES, flash->n_sectors};
    memcpy(header, "NCFLASH1", 8);
    memcpy(header + 8, words, 8);
}

/* Writes cells, inverted as the file has them. */
static bool store(struct file_flash *flash, uint32_t offset, uint32_t n_bytes)
{
    uint8_t inverted[NC_SECTOR_BYTES];
    if (flash->file == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < n_bytes; i++) {
        inverted[i] = (uint8_t)~flash->cells[offset + i];
    }
    return fseek(flash->file, data_offset(flash) + (long)offset, SEEK_SET) == 0 &&
           fwrite(inverted, 1, n_bytes, flash->file) == n_bytes && fflush(flash->file) == 0;
}

static bool create(struct file_flash *flash)
{
    uint8_t header[HEADER_BYTES];
    const uint8_t zero = 0;
    fill_header(flash, header);
    return fwrite(header, 1, HEADER_BYTES, flash->file) == HEADER_BYTES &&
           fseek(flash->file, data_offset(flash) + (long)size_of(flash) - 1, SEEK_SET) == 0 &&
           fwrite(&zero, 1, 1, flash->file) == 1 && fflush(flash->file) == 0;
}

static bool load(struct file_flash *flash)
{
    uint8_t header[HEADER_BYTES];
    uint8_t found[HEADER_BYTES];
    fill_header(flash, header);
    rewind(flash->file);
    if (fread(found, 1, HEADER_BYTES, flash->file) != HEADER_BYTES ||
        memcmp(found, header, HEADER_BYTES) != 0 ||
        fread(flash->erase_counts, 4, flash->n_sectors, flash->file) != flash->n_sectors ||
        fread(flash->cells, 1, size_of(flash), flash->file) != size_of(flash) ||
        fgetc(flash->file) != EOF) {
        return false;
    }
    for (uint32_t i = 0; i < size_of(flash); i++) {
        flash->cells[i] = (uint8_t)~flash->cells[i];
        flash->programmed[i / NC_PAGE_BYTES] |= flash->cells[i] != 0xff;
    }
    return true;
}

const char *file_flash_open(struct file_flash *flash, const char *path, uint32_t n_sectors)
{
    flash->n_sectors = n_sectors;
    flash->file = NULL;
    flash->cells = malloc(size_of(flash));
    flash->erase_counts = calloc(n_sectors, sizeof *flash->erase_counts);
    flash->programmed = calloc(n_sectors * PAGES_PER_SECTOR, sizeof *flash->programmed);
    if (flash->cells == NULL || flash->erase_counts == NULL || flash->programmed == NULL) {
        return "there is not enough memory";
    }
    memset(flash->cells, 0xff, size_of(flash));
    if (path == NULL) {
        return NULL;
    }
    flash->file = fopen(path, "r+b");
    if (flash->file == NULL) {
        flash->file = fopen(path, "w+b");
        return flash->file != NULL && create(flash) ? NULL : "the file cannot be created";
    }
    return load(flash) ? NULL : "the file is no flash of this size";
}

void file_flash_close(struct file_flash *flash)
{
    if (flash->file != NULL) {
        fclose(flash->file);
    }
    free(flash->cells);
    free(flash->erase_counts);
    free(flash->programmed);
}

uint8_t file_flash_read(struct file_flash *flash, uint32_t offset, uint8_t *bytes,
                        uint32_t n_bytes)
{
    if (offset > size_of(flash) || n_bytes > size_of(flash) - offset) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    memcpy(bytes, flash->cells + offset, n_bytes);
    return NC_DEVICE_ERROR_OK;
}

uint8_t file_flash_erase(struct file_flash *flash, uint32_t offset)
{
    const uint32_t sector = offset / NC_SECTOR_BYTES;
    if (sector >= flash->n_sectors) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    memset(flash->cells + (size_t)sector * NC_SECTOR_BYTES, 0xff, NC_SECTOR_BYTES);
    memset(flash->programmed + (size_t)sector * PAGES_PER_SECTOR, 0,
           PAGES_PER_SECTOR * sizeof *flash->programmed);
    flash->erase_counts[sector]++;
    if (flash->file != NULL &&
        (fseek(flash->file, (long)(HEADER_BYTES + 4u * sector), SEEK_SET) != 0 ||
         fwrite(&flash->erase_counts[sector], 4, 1, flash->file) != 1)) {
        return NC_DEVICE_ERROR_FLASH_FAILED;
    }
    return store(flash, sector * NC_SECTOR_BYTES, NC_SECTOR_BYTES) ? NC_DEVICE_ERROR_OK
                                                                   : NC_DEVICE_ERROR_FLASH_FAILED;
}

uint8_t file_flash_program(struct file_flash *flash, uint32_t offset, const uint8_t *bytes,
                           uint32_t n_bytes)
{
    const uint32_t page = offset / NC_PAGE_BYTES;
    if (n_bytes == 0 || offset >= size_of(flash) || (offset + n_bytes - 1u) / NC_PAGE_BYTES != page) {
        return NC_DEVICE_ERROR_BAD_RANGE;
    }
    if (flash->programmed[page]) {
        return NC_DEVICE_ERROR_NOT_ERASED;
    }
    flash->programmed[page] = true;
    for (uint32_t i = 0; i < n_bytes; i++) {
        flash->cells[offset + i] &= bytes[i];
    }
    return store(flash, offset, n_bytes) ? NC_DEVICE_ERROR_OK : NC_DEVICE_ERROR_FLASH_FAILED;
}
