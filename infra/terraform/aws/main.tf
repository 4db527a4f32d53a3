# A store on S3: s3://BUCKET/PREFIX. Who writes may never change what is written below ledger/ and nonces/.

terraform {
  required_version = ">= 1.5"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.80, < 7"
    }
  }
}

locals {
  objects     = "${aws_s3_bucket.store.arn}/${var.prefix}*"
  append_only = [for folder in ["ledger", "nonces"] : "${aws_s3_bucket.store.arn}/${var.prefix}${folder}/*"]
}

# Object Lock is of the whole bucket, and can only be had from its first day on.
resource "aws_s3_bucket" "store" {
  bucket              = var.bucket
  object_lock_enabled = true
}

resource "aws_s3_bucket_versioning" "store" {
  bucket = aws_s3_bucket.store.id

  versioning_configuration {
    status = "Enabled"
  }
}

# Locked are versions, not names: a champion's pointer can be replaced, and its old version stays.
resource "aws_s3_bucket_object_lock_configuration" "store" {
  bucket     = aws_s3_bucket.store.id
  depends_on = [aws_s3_bucket_versioning.store]

  rule {
    default_retention {
      mode = "GOVERNANCE"
      days = var.retention_days
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "store" {
  bucket     = aws_s3_bucket.store.id
  depends_on = [aws_s3_bucket_versioning.store]

  rule {
    id     = "give up uploads that nobody finished"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = 7
    }
  }

  rule {
    id     = "forget what was replaced or deleted"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.retention_days
    }
  }
}

resource "aws_s3_bucket_public_access_block" "store" {
  bucket                  = aws_s3_bucket.store.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

data "aws_iam_policy_document" "bucket" {
  statement {
    sid       = "OnlyOverTls"
    effect    = "Deny"
    actions   = ["s3:*"]
    resources = [aws_s3_bucket.store.arn, "${aws_s3_bucket.store.arn}/*"]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }

  statement {
    sid       = "TheLedgerIsNotDeleted"
    effect    = "Deny"
    actions   = ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"]
    resources = local.append_only

    principals {
      type        = "*"
      identifiers = ["*"]
    }
  }

  statement {
    sid       = "TheLedgerIsOnlyAddedTo"
    effect    = "Deny"
    actions   = ["s3:PutObject"]
    resources = local.append_only

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Null"
      variable = "s3:if-none-match"
      values   = ["true"]
    }

    condition {
      test     = "Bool"
      variable = "s3:ObjectCreationOperation"
      values   = ["true"]
    }
  }
}

resource "aws_s3_bucket_policy" "store" {
  bucket = aws_s3_bucket.store.id
  policy = data.aws_iam_policy_document.bucket.json
}

# Without ListBucket, S3 answers 403 where an object is only missing.
data "aws_iam_policy_document" "reads" {
  statement {
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.store.arn]
  }

  statement {
    actions   = ["s3:GetObject"]
    resources = [local.objects]
  }
}

data "aws_iam_policy_document" "writes" {
  source_policy_documents = [data.aws_iam_policy_document.reads.json]

  statement {
    actions   = ["s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = [local.objects]
  }
}

data "aws_iam_policy_document" "trust" {
  for_each = { writer = var.writers, reader = var.readers }

  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = each.value
    }
  }
}

# Runs, promotions and repairs.
resource "aws_iam_role" "writer" {
  name               = "${var.bucket}-writer"
  assume_role_policy = data.aws_iam_policy_document.trust["writer"].json
}

resource "aws_iam_role_policy" "writer" {
  role   = aws_iam_role.writer.id
  policy = data.aws_iam_policy_document.writes.json
}

# Whoever serves a champion.
resource "aws_iam_role" "reader" {
  name               = "${var.bucket}-reader"
  assume_role_policy = data.aws_iam_policy_document.trust["reader"].json
}

resource "aws_iam_role_policy" "reader" {
  role   = aws_iam_role.reader.id
  policy = data.aws_iam_policy_document.reads.json
}
