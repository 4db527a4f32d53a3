output "store" {
  description = "For GREENLIGHT_STORE or GREENLIGHT_MIRRORS."
  value       = "oci://${var.bucket}@${data.oci_objectstorage_namespace.store.namespace}/${var.prefix}?region=${var.region}"
}
