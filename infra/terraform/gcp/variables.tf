variable "project" {
  description = "The project that pays."
  type        = string
}

variable "location" {
  description = "Where the bucket lies, such as europe-west1."
  type        = string
}

variable "bucket" {
  description = "The bucket's name."
  type        = string
}

variable "prefix" {
  description = "What every key begins with, such as media/; empty: the bucket is the store's alone."
  type        = string
  default     = ""
}

variable "retention_days" {
  description = "How long what was replaced or deleted is kept; 7 to 90."
  type        = number
  default     = 30
}
