# A store on Azure Blob Storage: az://CONTAINER/PREFIX?account=ACCOUNT. Who writes may never change what is written below
# ledger/ and nonces/. Blocks that nobody committed are dropped by the service after a week: there is no rule to set.

terraform {
  required_version = ">= 1.5"

  required_providers {
    azurerm = {
      source  = "hashicorp/azurerm"
      version = ">= 4.10, < 5"
    }
  }
}

locals {
  blobs = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs"
  # To replace or delete; what only adds is blobs/add/action.
  changes = join(" AND ", [
    for action in ["write", "delete"] : "!(ActionMatches{'${local.blobs}/${action}'})"
  ])
  not_append_only = join(" AND ", [
    for folder in ["ledger", "nonces"] : "@Resource[${local.blobs}:path] StringNotStartsWith '${var.prefix}${folder}/'"
  ])
}

resource "azurerm_storage_account" "store" {
  name                            = var.account
  resource_group_name             = var.resource_group
  location                        = var.location
  account_tier                    = "Standard"
  account_replication_type        = "ZRS"
  min_tls_version                 = "TLS1_2"
  allow_nested_items_to_be_public = false
  # Roles and their conditions do not bind who holds an account's key.
  shared_access_key_enabled = false

  blob_properties {
    versioning_enabled = true

    delete_retention_policy {
      days = var.retention_days
    }

    container_delete_retention_policy {
      days = var.retention_days
    }
  }

  # Of versions: a champion's pointer can be replaced, and its old version stays.
  immutability_policy {
    allow_protected_append_writes = false
    period_since_creation_in_days = var.retention_days
    state                         = "Unlocked"
  }
}

resource "azurerm_storage_container" "store" {
  name                  = var.container
  storage_account_id    = azurerm_storage_account.store.id
  container_access_type = "private"
}

resource "azurerm_storage_management_policy" "store" {
  storage_account_id = azurerm_storage_account.store.id

  rule {
    name    = "forget-what-was-replaced-or-deleted"
    enabled = true

    filters {
      blob_types = ["blockBlob"]
    }

    actions {
      version {
        delete_after_days_since_creation = var.retention_days + 1
      }
    }
  }
}

resource "azurerm_role_definition" "reads" {
  name  = "${var.account} reads a Greenlight store"
  scope = azurerm_storage_account.store.id

  permissions {
    actions      = []
    data_actions = ["${local.blobs}/read"]
  }
}

resource "azurerm_role_definition" "writes" {
  name  = "${var.account} writes a Greenlight store"
  scope = azurerm_storage_account.store.id

  permissions {
    actions = []
    data_actions = [
      "${local.blobs}/read",
      "${local.blobs}/add/action",
      "${local.blobs}/write",
      "${local.blobs}/delete",
    ]
  }
}

# Runs, promotions and repairs.
resource "azurerm_role_assignment" "writer" {
  for_each           = toset(var.writers)
  scope              = azurerm_storage_container.store.id
  role_definition_id = azurerm_role_definition.writes.role_definition_resource_id
  principal_id       = each.value
  condition_version  = "2.0"
  condition          = "((${local.changes}) OR (${local.not_append_only}))"
}

# Whoever serves a champion.
resource "azurerm_role_assignment" "reader" {
  for_each           = toset(var.readers)
  scope              = azurerm_storage_container.store.id
  role_definition_id = azurerm_role_definition.reads.role_definition_resource_id
  principal_id       = each.value
}
