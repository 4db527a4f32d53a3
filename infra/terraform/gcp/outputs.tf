output "store" {
  description = "For GREENLIGHT_STORE or GREENLIGHT_MIRRORS."
  value       = "gs://${google_storage_bucket.store.name}/${var.prefix}"
}

output "roles" {
  description = "For writers and for readers: bind them to workload identities; no key is needed."
  value       = { writer = google_service_account.writer.email, reader = google_service_account.reader.email }
}
