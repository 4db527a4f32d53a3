variable "region" {
  description = "Where the bucket lies, such as eu-frankfurt-1."
  type        = string
}

variable "compartment_id" {
  description = "The compartment's OCID."
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
  description = "How long what was replaced or deleted is kept."
  type        = number
  default     = 30
}

variable "writer" {
  description = "Who runs, promotes and repairs, as a policy names him: group NAME, or dynamic-group NAME."
  type        = string
}

variable "reader" {
  description = "Who serves a champion, as a policy names him."
  type        = string
}
