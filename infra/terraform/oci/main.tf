# A store in Oracle's object storage: oci://BUCKET@NAMESPACE/PREFIX. Who writes may never change what is written below
# ledger/ and nonces/. A retention rule would be of the whole bucket, and a bucket has either rules or versions; so the
# ledger is protected by what its writer may do, and everything by versions, which he may not delete.

terraform {
  required_version = ">= 1.5"

  required_providers {
    oci = {
      source  = "oracle/oci"
      version = ">= 6.0, < 9"
    }
  }
}

locals {
  of_the_store = "target.bucket.name = '${var.bucket}'"
  not_append_only = join(", ", [
    for folder in ["ledger", "nonces"] : "target.object.name != /${var.prefix}${folder}/*/"
  ])
  reads    = join(", ", [for verb in ["INSPECT", "READ"] : "request.permission = 'OBJECT_${verb}'"])
  adds     = join(", ", [for verb in ["INSPECT", "READ", "CREATE"] : "request.permission = 'OBJECT_${verb}'"])
  replaces = join(", ", [for verb in ["OVERWRITE", "DELETE"] : "request.permission = 'OBJECT_${verb}'"])
}

data "oci_objectstorage_namespace" "store" {
  compartment_id = var.compartment_id
}

resource "oci_objectstorage_bucket" "store" {
  compartment_id = var.compartment_id
  namespace      = data.oci_objectstorage_namespace.store.namespace
  name           = var.bucket
  access_type    = "NoPublicAccess"
  versioning     = "Enabled"
}

# The service itself aborts and deletes; until it may, the rules below are refused.
resource "oci_identity_policy" "lifecycle" {
  compartment_id = var.compartment_id
  name           = "${var.bucket}-lifecycle"
  description    = "Lets the bucket's lifecycle rules work."
  statements = [
    "Allow service objectstorage-${var.region} to manage object-family in compartment id ${var.compartment_id} where ${local.of_the_store}",
  ]
}

resource "oci_objectstorage_object_lifecycle_policy" "store" {
  namespace  = oci_objectstorage_bucket.store.namespace
  bucket     = oci_objectstorage_bucket.store.name
  depends_on = [oci_identity_policy.lifecycle]

  rules {
    name        = "give-up-uploads-that-nobody-finished"
    is_enabled  = true
    target      = "multipart-uploads"
    action      = "ABORT"
    time_amount = 7
    time_unit   = "DAYS"
  }

  rules {
    name        = "forget-what-was-replaced-or-deleted"
    is_enabled  = true
    target      = "previous-object-versions"
    action      = "DELETE"
    time_amount = var.retention_days
    time_unit   = "DAYS"
  }
}

# Runs, promotions and repairs.
resource "oci_identity_policy" "writer" {
  compartment_id = var.compartment_id
  name           = "${var.bucket}-writer"
  description    = "Adds everywhere in the store; replaces and deletes only outside of the ledger."
  statements = [
    "Allow ${var.writer} to read buckets in compartment id ${var.compartment_id} where ${local.of_the_store}",
    "Allow ${var.writer} to manage objects in compartment id ${var.compartment_id} where all {${local.of_the_store}, any {${local.adds}}}",
    "Allow ${var.writer} to manage objects in compartment id ${var.compartment_id} where all {${local.of_the_store}, ${local.not_append_only}, any {${local.replaces}}}",
  ]
}

# Whoever serves a champion.
resource "oci_identity_policy" "reader" {
  compartment_id = var.compartment_id
  name           = "${var.bucket}-reader"
  description    = "Reads the store."
  statements = [
    "Allow ${var.reader} to read buckets in compartment id ${var.compartment_id} where ${local.of_the_store}",
    "Allow ${var.reader} to read objects in compartment id ${var.compartment_id} where all {${local.of_the_store}, any {${local.reads}}}",
  ]
}
