# A store on Google Cloud Storage: gs://BUCKET/PREFIX. Who writes may never change what is written below ledger/ and
# nonces/. A retention policy would be of the whole bucket and forbid to replace a champion's pointer; so the ledger is
# protected by what its writer may do, and everything by versions and soft deletion.

terraform {
  required_version = ">= 1.5"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = ">= 6.0, < 8"
    }
  }
}

locals {
  objects = "projects/_/buckets/${google_storage_bucket.store.name}/objects/"
  # To replace an object is to delete the one before.
  not_append_only = join(" && ", [
    for folder in ["ledger", "nonces"] : "!resource.name.startsWith(\"${local.objects}${var.prefix}${folder}/\")"
  ])
}

resource "google_storage_bucket" "store" {
  name                        = var.bucket
  project                     = var.project
  location                    = var.location
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = var.retention_days * 24 * 60 * 60
  }

  lifecycle_rule {
    action {
      type = "AbortIncompleteMultipartUpload"
    }

    condition {
      age = 7
    }
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }

    condition {
      days_since_noncurrent_time = var.retention_days
    }
  }
}

# Not storage.objectViewer and storage.objectUser: those may list folders, set retention and more.
resource "google_project_iam_custom_role" "reads" {
  project     = var.project
  role_id     = "greenlightReads"
  title       = "Reads a Greenlight store"
  permissions = ["storage.objects.get", "storage.objects.list"]
}

resource "google_project_iam_custom_role" "adds" {
  project     = var.project
  role_id     = "greenlightAdds"
  title       = "Adds to a Greenlight store"
  permissions = ["storage.objects.create", "storage.objects.get", "storage.objects.list"]
}

resource "google_project_iam_custom_role" "replaces" {
  project     = var.project
  role_id     = "greenlightReplaces"
  title       = "Replaces and deletes in a Greenlight store"
  permissions = ["storage.objects.delete"]
}

# Runs, promotions and repairs.
resource "google_service_account" "writer" {
  project    = var.project
  account_id = "greenlight-writer"
}

resource "google_storage_bucket_iam_member" "writer_adds" {
  bucket = google_storage_bucket.store.name
  role   = google_project_iam_custom_role.adds.id
  member = google_service_account.writer.member
}

resource "google_storage_bucket_iam_member" "writer_replaces" {
  bucket = google_storage_bucket.store.name
  role   = google_project_iam_custom_role.replaces.id
  member = google_service_account.writer.member

  condition {
    title      = "the ledger is only added to"
    expression = local.not_append_only
  }
}

# Whoever serves a champion.
resource "google_service_account" "reader" {
  project    = var.project
  account_id = "greenlight-reader"
}

resource "google_storage_bucket_iam_member" "reader_reads" {
  bucket = google_storage_bucket.store.name
  role   = google_project_iam_custom_role.reads.id
  member = google_service_account.reader.member
}
