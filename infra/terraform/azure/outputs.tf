output "store" {
  description = "For GREENLIGHT_STORE or GREENLIGHT_MIRRORS."
  value       = "az://${azurerm_storage_container.store.name}/${var.prefix}?account=${azurerm_storage_account.store.name}"
}
