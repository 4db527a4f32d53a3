variable "resource_group" {
  description = "The resource group, which is there."
  type        = string
}

variable "location" {
  description = "Where the account lies, such as westeurope."
  type        = string
}

variable "account" {
  description = "The storage account's name."
  type        = string
}

variable "container" {
  description = "The container's name."
  type        = string
  default     = "greenlight"
}

variable "prefix" {
  description = "What every key begins with, such as media/; empty: the container is the store's alone."
  type        = string
  default     = ""
}

variable "retention_days" {
  description = "How long no version can be deleted, and how long replaced ones are kept."
  type        = number
  default     = 30
}

variable "writers" {
  description = "Object ids of the identities that run, promote and repair."
  type        = list(string)
}

variable "readers" {
  description = "Object ids of the identities that serve a champion."
  type        = list(string)
}
